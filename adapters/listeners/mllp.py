"""MLLP: messages framed as <VT> message <FS><CR> over TCP, answered in the order they came.

What a peer may do wrong, and what happens:
    bytes before VT                 left out; if no VT ever comes: AE at the frame deadline, then the connection closes
    VT inside a frame               the first frame has no end: AE, kept as raw message; the second one is read
    a frame without FS              AE at the frame deadline (or when the peer ends its side), kept, then close
    a frame that is too long        AE as soon as the limit is passed, not kept, then close
    silence between frames          close after the idle limit, without an answer
    one connection too many         close at once
    a peer that reads no answers    close after the frame deadline
Several frames in one write and a frame in many pieces are as good as any. FS ends a frame; a CR after it is expected,
not demanded. Each connection is worked off in order: while a message is handled nothing more is read from it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal, NamedTuple

VT, FS, CR = b"\x0b", b"\x1c", b"\r"

Handle = Callable[[bytes], Awaitable[bytes]]
"""A message -> its answer; b'' = none."""
Refuse = Callable[[bytes, str, bool], Awaitable[bytes]]
"""(bytes that are no whole message, why, whether to keep them) -> the answer; b'' = none."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """frame_bytes: one message. frame_seconds: from VT to FS. idle_seconds: between frames. connections: at a time."""

    frame_bytes: int = 16 * 1024 * 1024
    frame_seconds: float = 30.0
    idle_seconds: float = 600.0
    connections: int = 200


class Piece(NamedTuple):
    """What the framer found: a whole frame, one that has no end, or one that is too long (its beginning)."""

    kind: Literal["frame", "broken", "too-long"]
    content: bytes


class Framer:
    """Bytes in, frames out. Knows no time and no connection."""

    def __init__(self, frame_bytes: int) -> None:
        self._max = frame_bytes
        self._buffer = bytearray()
        self._searched = 0  # bytes of the buffer without a VT or FS
        self.inside = False

    @property
    def pending(self) -> bytes:
        """Bytes that are no whole frame yet, without white space around frames."""
        return bytes(self._buffer) if self.inside else bytes(self._buffer).strip()

    def feed(self, data: bytes) -> list[Piece]:
        self._buffer += data
        pieces = []
        while (piece := self._next()) is not None:
            if piece.content or piece.kind == "too-long":
                pieces.append(piece)
            if piece.kind == "too-long":
                break
        return pieces

    def _next(self) -> Piece | None:
        if not self.inside:
            start = self._buffer.find(VT)
            if start < 0:
                if not self._buffer.strip():
                    self._buffer.clear()
                return self._overflow()
            del self._buffer[: start + 1]
            self.inside, self._searched = True, 0
        end, again = self._buffer.find(FS, self._searched), self._buffer.find(VT, self._searched)
        self._searched = len(self._buffer)
        if again >= 0 and (end < 0 or again < end):
            return self._take("broken", again)
        if end >= 0:
            self.inside = False
            return self._take("frame", end) if end <= self._max else self._overflow()
        return self._overflow()

    def _take(self, kind: Literal["frame", "broken"], end: int) -> Piece:
        content = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return Piece(kind, content)

    def _overflow(self) -> Piece | None:
        return Piece("too-long", bytes(self._buffer)) if len(self._buffer) > self._max else None


async def serve_mllp(
    host: str,
    port: int,
    handle: Handle,
    *,
    refuse: Refuse | None = None,
    limits: Limits | None = None,
    allow_open: bool = False,
) -> asyncio.Server:
    """Starts listening; `handle` gets each message and gives its answer. Port 0 takes a free one.

    There is no authentication in MLLP: a host that is not loopback raises ValueError unless `allow_open`.
    `refuse` answers what is no whole message; without it such a connection is closed in silence.
    Raises OSError when the port is in use.
    """
    if not allow_open and not is_loopback(host):
        raise ValueError(f"{host} is reachable from outside and MLLP knows no authentication; bind to 127.0.0.1")
    service = _Service(handle, refuse, limits or Limits())
    return await asyncio.start_server(service.connected, host, port, limit=1 << 16)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host. A name other than localhost may resolve to anything."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class _Service:
    def __init__(self, handle: Handle, refuse: Refuse | None, limits: Limits) -> None:
        self._handle, self._refuse, self._limits = handle, refuse, limits
        self._open = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if self._open >= self._limits.connections:
            _log.warning("mllp: %s turned away, %d connections are open", peer, self._open)
            writer.transport.abort()
            return
        self._open += 1
        try:
            await self._converse(reader, writer)
        except (ConnectionError, TimeoutError):
            _log.info("mllp: %s is gone", peer)
        except asyncio.CancelledError:
            # The process stops. This task has no caller who could want to know, and asyncio would log a fault.
            _log.info("mllp: %s cut off at shutdown", peer)
        except Exception:
            # No answer: the sender keeps the message and sends it again.
            _log.exception("mllp: a message of %s could not be handled", peer)
        finally:
            self._open -= 1
            writer.close()  # what is written already is still sent

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = Framer(self._limits.frame_bytes)
        loop = asyncio.get_running_loop()
        begun: float | None = None  # when the first byte of what is pending came
        while True:
            limit = self._limits.idle_seconds
            if begun is not None:
                limit = max(0.0, begun + self._limits.frame_seconds - loop.time())
            try:
                async with asyncio.timeout(limit):
                    data = await reader.read(1 << 16)
            except TimeoutError:
                await self._unfinished(framer, writer, "within the time limit")
                return
            if not data:
                await self._unfinished(framer, writer, "before the connection ended")
                return
            pieces = framer.feed(data)
            for piece in pieces:
                if not await self._answer(piece, writer):
                    return
            if not (framer.inside or framer.pending):
                begun = None
            elif begun is None or pieces:
                begun = loop.time()

    async def _answer(self, piece: Piece, writer: asyncio.StreamWriter) -> bool:
        """Answers a piece; False when the connection is to be closed."""
        if piece.kind == "frame":
            await self._send(writer, await self._handle(piece.content))
            return True
        if piece.kind == "broken":
            await self._refused(writer, piece.content, "a frame without end: the next one begins inside it", True)
            return True
        reason = f"the message is longer than {self._limits.frame_bytes} bytes"
        await self._refused(writer, piece.content, reason, False)
        return False

    async def _unfinished(self, framer: Framer, writer: asyncio.StreamWriter, when: str) -> None:
        content = framer.pending
        if framer.inside:
            await self._refused(writer, content, f"a frame without end: no FS (0x1C) {when}", True)
        elif content:
            await self._refused(writer, content, f"no frame: no VT (0x0B) {when}", True)

    async def _refused(self, writer: asyncio.StreamWriter, content: bytes, reason: str, keep: bool) -> None:
        _log.warning("mllp: %s: %s", writer.get_extra_info("peername"), reason)
        if self._refuse is not None:
            await self._send(writer, await self._refuse(content, reason, keep))

    async def _send(self, writer: asyncio.StreamWriter, answer: bytes) -> None:
        if answer:
            writer.write(VT + answer + FS + CR)
            async with asyncio.timeout(self._limits.frame_seconds):
                await writer.drain()
