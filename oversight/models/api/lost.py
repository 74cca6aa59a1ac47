"""What an SDK's error says of the call: whether an answer came, and whether anything was sent."""

from __future__ import annotations

import re
import socket


def _behind(error: BaseException | None) -> list[BaseException]:
    """An error and those behind it."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def unanswered(error: Exception) -> bool:
    """Whether an exception of an SDK says that no answer came. litellm gives these a status all the same."""
    if type(error).__name__ in ("APIConnectionError", "APITimeoutError", "Timeout"):
        return True
    names = {kind.__name__ for one in _behind(error) for kind in type(one).__mro__ if _is_of_network(kind)}
    return bool(names & {"TransportError", "ClientConnectionError", "ClientPayloadError"})


def never_sent(error: Exception) -> bool:
    """Whether an exception of an SDK says that there was no connection to ask over. Of those behind it aiohttp's
    tells: what wraps it takes a connection that broke for one that there never was. Where there is none, its words."""
    chain = _behind(error)
    if any(isinstance(one, ConnectionRefusedError | socket.gaierror) for one in chain):
        return True
    names = {type(one).__name__ for one in chain if type(one).__module__.startswith("aiohttp")}
    if names:
        return any(re.match(r"ClientConnector|ConnectionTimeoutError$", name) for name in names)
    if any(re.search(r"Connect(Error|Timeout)$|PoolTimeout$", type(one).__name__) for one in chain):
        return True
    said = str(error).lower()
    return bool(re.search(r"cannot connect to host|connection refused|getaddrinfo|name or service", said))


def _is_of_network(kind: type) -> bool:
    return kind.__module__.split(".")[0] in ("httpx", "httpx2", "aiohttp")


def is_of_sdk(error: Exception) -> bool:
    """Whether an exception says that no usable answer came over the network."""
    modules = {cls.__module__.split(".")[0] for cls in type(error).__mro__}
    return bool(
        modules & {"openai", "anthropic", "litellm", "httpx", "httpx2", "httpcore", "aiohttp"}
    ) or isinstance(error, ConnectionError | TimeoutError)


def let_go(error: BaseException | None) -> None:
    """Take from an error, and from those behind it, the frames that raised them. aiohttp's hold the error itself, so
    both would wait for the garbage collector, and with them the event loop's turn in which the connection broke: its
    list of timers, each with the variables of its task."""
    for one in _behind(error):
        one.__traceback__ = None
