"""Writing together: how other processes reach the one that has a database file open, through a quack server.

Beside the server that lets others read (`serve.py`) the writing process can run a second one, in a DuckDB of
its own that holds nothing: no table, no file, no way to either. Its filter passes the two statements with which a
client attaches, and one more, `SELECT oversight_share('…')`, whose argument is a message to the process itself. So
a writing token reaches the code that keeps the ledger, never a table; what is written is written by the one
writer (docs/decisions.md, "A worker writes through the owner's code").

Quack speaks plain HTTP. It listens on 127.0.0.1, where a proxy may add TLS; on another address only where
`http://` says in so many words that the network is trusted. A client takes a host that is not this machine to speak
TLS, and checks its certificate.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import os
import re
import secrets
import socket
import ssl
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import duckdb

from oversight.errors import StoreError, UserError
from oversight.secrecy import remember, without_keys
from oversight.store.database import first_line, literal
from oversight.store.reading import closed
from oversight.store.serve import HOST, CannotServe, filter_sql, free_port, load_quack

TOKEN = "OVERSIGHT_TOKEN"
"""The variable that holds a writing token, where it is not found beside the file."""

AUTHORITIES = "SSL_CERT_FILE"
"""The variable that names a file of certificates of authorities, in place of the system's."""

FUNCTION = "oversight_share"
MESSAGE = rf"SELECT {FUNCTION}\(''[A-Za-z0-9+/=]*''\)"
SHORTEST_TOKEN = 16
MOST_BYTES = 1 << 28
"""Of a message, unpacked."""
_SURROGATE = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]")
TIMEOUT = 20
"""Seconds in which an answer must begin; what is heard late is asked again."""

Answer = Callable[[Any], Any]


class Unheard(StoreError):
    """No answer came. The message may or may not have arrived."""


class Ended(StoreError):
    """The other side has ended."""


class OtherPlan(StoreError):
    """The other side plays another plan."""


class Silent(Ended):
    """It was asked for long and never heard: it has ended, or cannot be reached."""


@dataclass(frozen=True)
class Address:
    """Where to listen, or whom to join: a host, a port, and whether what is said there is encrypted."""

    host: str
    port: int
    tls: bool

    @property
    def here(self) -> bool:
        """Whether it is this machine alone."""
        return _is_loopback(self.host)

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"


def address_of(text: str) -> Address:
    """`HOST:PORT`, which speaks TLS unless it is this machine, or `http://HOST:PORT`, `https://HOST:PORT`.

    Raises `UserError` for anything else.
    """
    found = re.fullmatch(r"(?:(https?)://)?(\[[0-9A-Fa-f:.]+\]|[\w.-]+):(\d{1,5})/?", text.strip())
    if found is None or not 0 < int(found[3]) < 65536:
        said = "what was given" if "@" in text else repr(text)  # it may hold a password
        raise UserError(f"{said} is no address: write HOST:PORT, e.g. 127.0.0.1:9494")
    host = found[2].strip("[]")
    return Address(host, int(found[3]), found[1] == "https" if found[1] else not _is_loopback(host))


def listening_address(text: str) -> Address:
    """Where to listen. Raises `UserError` for an address beyond this machine that is not plainly `http://…`."""
    found = address_of(text)
    if found.here and not found.tls:
        return found
    if text.strip().startswith("http://"):
        return found
    raise UserError(
        f"--listen {text}: nothing would be encrypted, for quack speaks plain HTTP; listen on 127.0.0.1:{found.port} "
        f"behind a proxy that speaks TLS (docs/sharing.md), or say http://{found} on a network you trust"
    )


def given_token() -> str | None:
    """The token in the environment. Raises `UserError` for one that could be guessed."""
    token = os.environ.get(TOKEN, "").strip()
    if token and len(token) < SHORTEST_TOKEN:
        raise UserError(
            f"{TOKEN} is too short: {SHORTEST_TOKEN} characters or more, e.g. of `openssl rand -hex 24`"
        )
    return token or None


def pack(message: Any) -> str:
    """A message as the text of one SQL string."""
    return base64.b64encode(zlib.compress(json.dumps(message, ensure_ascii=False).encode(), 1)).decode()


def unpack(text: str) -> Any:
    """What was packed. Raises `ValueError` for what is none, or is too large."""
    unpacking = zlib.decompressobj()
    try:
        raw = unpacking.decompress(base64.b64decode(text, validate=True), MOST_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise ValueError("too large, or cut off")
    if _SURROGATE.search(raw):  # `pack` writes none, and one alone could be in no file
        raise ValueError("a text has a surrogate")
    return json.loads(raw)


class Endpoint:
    """A server of messages. `answer` is called with each, in threads of quack's; what it returns is sent back."""

    def __init__(self, answer: Answer, listen: Address | None = None, token: str | None = None) -> None:
        """Raises `StoreError` where quack cannot be had or the address is taken."""
        self.token = token or secrets.token_urlsafe(32)
        remember(self.token)
        self._answer = answer
        self._con = closed()
        try:
            load_quack(self._con)
            self._con.create_function(FUNCTION, self._heard, ["VARCHAR"], "VARCHAR", side_effects=True)
            own = f"regexp_full_match(query::VARCHAR, '{MESSAGE}')"
            may = f"CASE WHEN {own} THEN true ELSE ({filter_sql(self._con)}) END"
            self._con.execute(
                f"CREATE MACRO memory.main.oversight_may_say(sid, query) AS (coalesce({may}, false))"
            )
            self._con.execute("SET GLOBAL quack_authorization_function = 'memory.main.oversight_may_say'")
            self.at = self._serve(listen)
            self._con.execute("SET enable_external_access = false")
            self._con.execute("SET lock_configuration = true")
        except CannotServe as error:
            self._con.close()
            raise StoreError(f"--share needs DuckDB's quack extension, and {error}") from None
        except BaseException:
            self._con.close()
            raise

    def _serve(self, listen: Address | None) -> Address:
        for attempt in range(5):
            at = listen or Address(HOST, free_port(), False)
            self._uri = f"quack:{at}"
            try:
                self._con.execute(
                    f"CALL quack_serve({literal(self._uri)}, token = {literal(self.token)}, "
                    f"allow_other_hostname = {not at.here})"
                )
                return at
            except duckdb.Error as error:  # `from None`: the failing statement holds the token
                if listen is not None or attempt == 4:
                    why = first_line(str(error).replace(self.token, "***"))
                    raise StoreError(f"cannot listen on {at}: {why}") from None
        raise AssertionError

    def _heard(self, text: str) -> str:
        try:
            return pack(self._answer(unpack(text)))
        except Exception as error:  # it would reach the client with its traceback
            return pack({"error": without_keys(f"{type(error).__name__}: {error}")})

    @property
    def reached(self) -> str:
        """Where it is reached from this machine."""
        at = self.at
        host = {"0.0.0.0": HOST, "::": "::1"}.get(at.host, at.host)
        return f"http://{_bracketed(host)}:{at.port}"

    def close(self) -> None:
        """Stop answering."""
        with contextlib.suppress(duckdb.Error):
            self._con.execute(f"CALL quack_stop({literal(self._uri)})")
        self._con.close()


class Link:
    """A line to an endpoint. `ask` from one thread at a time."""

    def __init__(self, address: Address, token: str) -> None:
        """Raises `StoreError` where quack cannot be had."""
        remember(token)
        self.address, self._token = address, token
        self._con: duckdb.DuckDBPyConnection | None = None

    def ask(self, message: Any) -> Any:
        """What is answered to a message. Raises `Unheard`, or `StoreError` where the other side refuses it."""
        try:
            if self._con is None:
                self._con = self._attached()
            text = literal(f"SELECT {FUNCTION}('{pack(message)}')")
            told = self._con.execute(f"FROM quack_query_by_name('owner', {text})").fetchall()[0][0]
            answer = unpack(told)
        except (ValueError, TypeError):
            raise StoreError(f"{self.address} answers, but as no run that is shared does") from None
        except CannotServe as error:
            raise StoreError(f"joining a run needs DuckDB's quack extension, and {error}") from None
        except duckdb.Error as error:  # `from None`: the failing statement holds the token
            self.close()
            why = first_line(str(error).replace(self._token, "***"))
            if "Authentication failed" in why:
                raise StoreError(
                    f"{self.address} does not take this token: {TOKEN} must be that run's"
                ) from None
            if "SSL peer certificate" in why or "SSL CA cert" in why:  # asked again it would be the same
                raise StoreError(self._distrusted()) from None
            raise Unheard(why) from None
        if isinstance(answer, dict) and "error" in answer:
            kind = Ended if answer.get("ended") else OtherPlan if answer.get("other") else StoreError
            raise kind(str(answer["error"]))
        return answer

    def _distrusted(self) -> str:
        """Why the other side's certificate is not taken, as one line."""
        name = os.environ.get(AUTHORITIES)
        try:
            context = ssl.create_default_context(cafile=name)
        except (OSError, ssl.SSLError):
            return f"{AUTHORITIES} is {name}, which is no file of certificates that can be read"
        why = "it is not trusted"
        try:
            with socket.create_connection((self.address.host, self.address.port), TIMEOUT) as plain:
                context.wrap_socket(plain, server_hostname=self.address.host).close()
        except ssl.SSLCertVerificationError as error:
            why = error.verify_message.rstrip(".")
        except OSError:
            pass
        return (
            f"the certificate of {self.address} is refused ({why}): join by a name that it is for, and name its "
            f"authority's certificate in {AUTHORITIES} if that is not one of the system's"
        )

    def _attached(self) -> duckdb.DuckDBPyConnection:
        con = closed()
        try:
            load_quack(con)
            con.execute(f"SET http_timeout = {TIMEOUT}")
            con.execute("SET http_retries = 0")  # asking again is ours: a message has a number
            con.execute("SET enable_server_cert_verification = true")
            if authorities := os.environ.get(AUTHORITIES):
                con.execute(f"SET ca_cert_file = {literal(authorities)}")
            con.execute(
                f"ATTACH 'quack:{self.address}' AS owner "
                f"(TYPE quack, TOKEN {literal(self._token)}, DISABLE_SSL {not self.address.tls})"
            )
        except BaseException:
            con.close()
            raise
        return con

    def close(self) -> None:
        """Hang up."""
        if self._con is not None:
            self._con.close()
            self._con = None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
