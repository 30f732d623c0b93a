"""The load: keep-alive connections, each sending its next request when its last was answered (a closed loop).

A client of its own because it shares the machine with the server: 20 microseconds a request where httpx takes 400.
It reads what a FHIR server sends to it, HTTP/1.1 with Content-Length or chunked, and nothing else.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
NO_BODY = (204, 304)


@dataclass(frozen=True, slots=True)
class Address:
    """A FHIR base URL in parts; `path` has no slash at the end."""

    host: str
    port: int
    path: str

    @staticmethod
    def of(base: str) -> "Address":
        parts = urlsplit(base)
        return Address(parts.hostname or "127.0.0.1", parts.port or 80, parts.path.rstrip("/"))

    def request(self, method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
        """A request as bytes; `headers` are whole lines, each ending in CRLF."""
        sent = f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n" if body else ""
        where = f"{self.path}/{path}".rstrip("/")
        head = f"{method} {where} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAccept: application/fhir+json\r\n"
        return (head + sent + headers + "\r\n").encode() + body


class Connection(asyncio.Protocol):
    """One connection: `exchange` sends a request and returns (status, body); one at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self._next: Callable[[int, bytes], bytes | None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop registers none of the abstract classes

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError(f"the server closed the connection: {error}"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        whole = _whole(self._received)
        if whole is None:
            return
        self._received.clear()
        if self._next is not None:
            onward = self._next(*whole)
            if onward is not None:
                assert self._transport is not None
                self._transport.write(onward)
                return
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(whole)

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        return await self.run(request, None)

    async def run(self, first: bytes, following: Callable[[int, bytes], bytes | None] | None) -> tuple[int, bytes]:
        """Sends `first`, then what `following` says after each answer, until that is None: the last answer."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._next = following
        assert self._transport is not None
        self._transport.write(first)
        return await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def connect(address: Address) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, address.host, address.port)
    return connection


def _whole(received: bytearray) -> tuple[int, bytes] | None:
    """(status, body) when all of the answer is there."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    status, start = int(received[9:12]), end + 4
    length = _LENGTH.search(received, 0, end)
    if length:
        stop = start + int(length[1])
        return (status, bytes(received[start:stop])) if len(received) >= stop else None
    if _CHUNKED.search(received, 0, end):
        return (status, _unchunked(bytes(received[start:]))) if received.endswith(b"0\r\n\r\n") else None
    if status in NO_BODY:
        return status, b""
    raise ValueError(f"an answer without length: {bytes(received[:end])!r}")


def _unchunked(sent: bytes) -> bytes:
    parts = []
    while sent:
        size, _, sent = sent.partition(b"\r\n")
        parts.append(sent[: int(size, 16)])
        sent = sent[int(size, 16) + 2 :]
    return b"".join(parts)


@dataclass(slots=True)
class Load:
    """What some seconds of load came to. Latencies in seconds; `refused` are answers past 299."""

    seconds: float = 0.0
    answered: int = 0
    refused: int = 0
    refusal: str = ""
    latencies: list[float] = field(default_factory=list)

    def __add__(self, other: "Load") -> "Load":
        return Load(
            self.seconds + other.seconds,
            self.answered + other.answered,
            self.refused + other.refused,
            self.refusal or other.refusal,
            self.latencies + other.latencies,
        )

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (self.answered - self.refused) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the answers came."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0


async def drive(connections: list[Connection], produce: Callable[[], bytes], seconds: float) -> Load:
    """All connections at once for this long; the answers still out at the end are waited for and counted."""
    load, clock = Load(), time.perf_counter
    start = clock()
    end = start + seconds

    def one() -> tuple[bytes, Callable[[int, bytes], bytes | None]]:
        sent = clock()

        def following(status: int, body: bytes) -> bytes | None:
            nonlocal sent
            now = clock()
            load.latencies.append(now - sent)
            load.answered += 1
            if status > 299:
                load.refused += 1
                load.refusal = f"{status} {body[:300]!r}"
            sent = now
            return produce() if now < end else None

        return produce(), following

    await asyncio.gather(*(connection.run(*one()) for connection in connections))
    load.seconds = clock() - start
    return load
