"""Beyond one machine: a proxy that speaks TLS, and workers that look at its certificate."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from nursery import GATE, Nursery
from support import TASK, content

from oversight.errors import StoreError
from oversight.store.serve import free_port
from oversight.store.share import Address, Endpoint, Link

TOKEN = "a token that both processes have"


class Proxy:
    """What ends TLS before an endpoint, as nginx or Caddy would."""

    def __init__(self, to: int, context: ssl.SSLContext) -> None:
        self.to, self.context = to, context
        self.heard = 0
        """Bytes that clients have said."""
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Proxy:
        self.thread.start()
        assert self.ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(30)

    async def _run(self) -> None:
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context) as server:
            self.port: int = server.sockets[0].getsockname()[1]
            self.ready.set()
            await self.over.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.to)
            await asyncio.gather(
                self._pipe(reader, back, True), self._pipe(there, writer), return_exceptions=True
            )
        except (OSError, asyncio.CancelledError):
            writer.close()

    async def _pipe(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: bool = False
    ) -> None:
        try:
            while data := await reader.read(65536):
                self.heard += len(data) if client else 0
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()


class Papers:
    """A root authority, one below it, and what servers show."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        root = trustme.CA()
        below = root.create_child_ca()
        self.root = folder / "root.pem"
        root.cert_pem.write_to_path(str(self.root))
        self.contexts = {
            "right": self._of(below.issue_cert("localhost")),
            "of another host": self._of(below.issue_cert("host.example")),
            "of another authority": self._of(trustme.CA().issue_cert("localhost")),
            "self-signed": self._self_signed(),
            "run out": self._of(root.issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))),
        }

    def _of(self, leaf: trustme.LeafCert) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(context)
        return context

    def _self_signed(self) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        file = self.folder / "self.pem"
        pem = serialization.Encoding.PEM
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        shown = made.sign(key, hashes.SHA256()).public_bytes(pem)
        file.write_bytes(key.private_bytes(pem, *form) + shown)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    found = Endpoint(lambda message: {"heard": message})
    yield found
    found.close()


def test_a_chain_up_to_an_authority_that_is_named_is_trusted(
    endpoint: Endpoint, papers: Papers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(papers.root))
    with Proxy(endpoint.at.port, papers.contexts["right"]) as proxy:
        link = Link(Address("localhost", proxy.port, True), endpoint.token)
        assert link.ask("x" * 1_000_000) == {"heard": "x" * 1_000_000}
        link.close()
        assert proxy.heard > len(endpoint.token)


@pytest.mark.parametrize(
    ("shown", "authority", "said"),
    [
        (
            "right",
            None,
            "unable to get local issuer certificate|self-signed certificate in certificate chain",
        ),
        ("right", "nowhere.pem", "no file of certificates"),
        ("of another host", "root.pem", "certificate is not valid for 'localhost'"),
        ("of another authority", "root.pem", "unable to get local issuer|certificate is refused"),
        ("self-signed", "root.pem", "self-signed certificate"),
        ("run out", "root.pem", "has expired"),
    ],
)
def test_a_certificate_that_does_not_hold_is_refused_in_one_line_and_nothing_is_sent(
    endpoint: Endpoint,
    papers: Papers,
    monkeypatch: pytest.MonkeyPatch,
    shown: str,
    authority: str | None,
    said: str,
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if authority is not None:
        monkeypatch.setenv("SSL_CERT_FILE", str(papers.folder / authority))
    with Proxy(endpoint.at.port, papers.contexts[shown]) as proxy:
        with pytest.raises(StoreError, match=said) as told:
            Link(Address("localhost", proxy.port, True), endpoint.token).ask("x")
        assert "\n" not in str(told.value) and "SSL_CERT_FILE" in str(told.value)
        assert endpoint.token not in str(told.value)
        assert proxy.heard == 0


def test_a_worker_joins_through_the_proxy_and_one_that_distrusts_it_ends_in_one_line(
    papers: Papers, tmp_path: Path, toy: str
) -> None:
    (tmp_path / "rep.yaml").write_text('judge: "Answer: A"\nspeak: "It was {answer}."')
    (tmp_path / "toy" / "task.py").write_text(TASK + GATE)
    players = ("--judge", "scripted/rep.yaml", "--debater", "scripted/rep.yaml")
    argv = (
        "debate:rounds=1",
        "direct",
        "--task",
        "./toy",
        *players,
        "--limit",
        "12",
        "--concurrency",
        "2",
        "-q",
    )
    port = free_port()
    trusts: dict[str, Any] = {"OVERSIGHT_TOKEN": TOKEN, "SSL_CERT_FILE": str(papers.root)}
    with (
        Nursery(tmp_path, *argv) as nursery,
        Proxy(port, papers.contexts["right"]) as right,
        Proxy(port, papers.contexts["of another host"]) as wrong,
    ):
        alone = nursery.start("--db", "whole.duckdb")
        assert alone.end() == 0, alone.said
        owner = nursery.start("--db", "shared.duckdb", "--listen", f"127.0.0.1:{port}", OVERSIGHT_TOKEN=TOKEN)
        owner.hear("is shared")
        worker = nursery.start("--join", f"https://localhost:{right.port}", **trusts)
        worker.hear("joined the run")
        distrusts = nursery.start("--join", f"https://localhost:{wrong.port}", **trusts)
        assert distrusts.end() == 2
        assert distrusts.said.count("\n") == 1 and "not valid for 'localhost'" in distrusts.said, (
            distrusts.said
        )
        (tmp_path / "go").touch()
        assert worker.end() == 0, worker.said
        assert owner.end() == 0, owner.said
    assert "were played here" in worker.said
    assert content(tmp_path / "shared.duckdb") == content(tmp_path / "whole.duckdb")
    assert TOKEN not in owner.said + worker.said + distrusts.said
