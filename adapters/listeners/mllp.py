"""MLLP: messages framed as <VT> message <FS><CR> over TCP, answered in the order they came.

What a peer may do wrong, and what happens:
    bytes before VT                 left out; if no VT ever comes: AE at the frame deadline, then the connection closes
    VT inside a frame               the first frame has no end: AE, kept as raw message; the second one is read
    a frame without FS              AE at the frame deadline (or when the peer ends its side), kept, then close
    a frame that is too long        AE as soon as the limit is passed, not kept, then close
    silence between frames          close after the idle limit, without an answer
    one connection too many         close at once; there is a limit for each peer and one for all
    too much unfinished by all      close at once the connection that passes the limit
    an address that is not allowed  close at once
    a peer that reads no answers    close after the frame deadline
A connection that is closed with an answer on its way is read on for a moment, or the answer would be lost with it.
Several frames in one write and a frame in many pieces are as good as any. FS ends a frame; a CR after it is expected,
not demanded. Each connection is worked off in order: while a message is handled nothing more is read from it.
"""

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import NamedTuple

from adapters.listeners.framing import CR, FS, VT, Framer, Piece


class Answer(NamedTuple):
    """What is said at once, and what is said when it is known, if the connection is still there; b'' = nothing."""

    now: bytes
    later: Awaitable[bytes] | None = None


Handle = Callable[[bytes], Awaitable[bytes | Answer]]
"""A message -> its answer; b'' = none."""
Refuse = Callable[[bytes, str, bool], Awaitable[bytes]]
"""(bytes that are no whole message, why, whether to keep them) -> the answer; b'' = none."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """frame_bytes: one message. buffer_bytes: unfinished ones of all connections. frame_seconds: from VT to FS.
    idle_seconds: between frames. connections: at a time, of all peers and of one. later: answers that a connection
    still waits for. linger_seconds: reading on after the last answer."""

    frame_bytes: int = 16 * 1024 * 1024
    frame_seconds: float = 30.0
    idle_seconds: float = 600.0
    connections: int = 200
    connections_per_peer: int = 200
    buffer_bytes: int = 256 * 1024 * 1024
    later: int = 1000
    linger_seconds: float = 2.0


async def serve_mllp(
    host: str,
    port: int,
    handle: Handle,
    *,
    refuse: Refuse | None = None,
    limits: Limits | None = None,
    allow_open: bool = False,
    allow: Sequence[IPv4Network | IPv6Network] = (),
    tls: ssl.SSLContext | None = None,
) -> asyncio.Server:
    """Starts listening; `handle` gets each message and gives its answer. Port 0 takes a free one.

    There is no authentication in MLLP: a host that is not loopback raises ValueError unless `allow_open`, or `allow`
    names the addresses that may connect, or `tls` asks peers for a certificate.
    `refuse` answers what is no whole message; without it such a connection is closed in silence.
    Raises OSError when the port is in use.
    """
    guarded = bool(allow) or (tls is not None and tls.verify_mode == ssl.CERT_REQUIRED)
    if not allow_open and not guarded and not is_loopback(host):
        raise ValueError(f"{host} is reachable from outside and MLLP knows no authentication; bind to 127.0.0.1")
    service = _Service(handle, refuse, limits or Limits(), allow)
    shake = {"ssl_handshake_timeout": service.limits.frame_seconds} if tls else {}
    return await asyncio.start_server(service.connected, host, port, limit=1 << 16, ssl=tls, **shake)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host. A name other than localhost may resolve to anything."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _among(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    at = ip_address(address)
    at = getattr(at, "ipv4_mapped", None) or at
    return any(at in network for network in networks)


class _Service:
    def __init__(
        self,
        handle: Handle,
        refuse: Refuse | None,
        limits: Limits,
        allow: Sequence[IPv4Network | IPv6Network] = (),
    ) -> None:
        self.handle, self.refuse, self.limits, self._allow = handle, refuse, limits, allow
        self._peers: Counter[str] = Counter()
        self.held = 0  # bytes of unfinished messages, of all connections

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = str(writer.get_extra_info("peername")[0]).partition("%")[0]
        reason = self._unwelcome(address)
        if reason:
            _log.warning("mllp: %s turned away: %s", address, reason)
            writer.transport.abort()
            return
        self._peers[address] += 1
        connection = _Connection(self, reader, writer)
        try:
            await connection.converse()
        except (ConnectionError, TimeoutError, ssl.SSLError):
            _log.info("mllp: %s is gone", address)
        except asyncio.CancelledError:
            # The process stops. This task has no caller who could want to know, and asyncio would log a fault.
            _log.info("mllp: %s cut off at shutdown", address)
        except Exception:
            # No answer: the sender keeps the message and sends it again.
            _log.exception("mllp: a message of %s could not be handled", address)
        finally:
            self._peers[address] -= 1
            self._peers += Counter()  # drops the zeros
            connection.end()

    def _unwelcome(self, address: str) -> str:
        if self._allow and not _among(address, self._allow):
            return "its address is not allowed"
        if self._peers.total() >= self.limits.connections:
            return f"{self._peers.total()} connections are open"
        if self._peers[address] >= self.limits.connections_per_peer:
            return f"it has {self._peers[address]} connections open"
        return ""


class _Connection:
    """One peer: its frames one after another, each answered before the next is handled."""

    def __init__(self, service: _Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._service, self._limits = service, service.limits
        self._reader, self._writer = reader, writer
        self._later: set[asyncio.Task[None]] = set()
        self._held = 0

    def end(self) -> None:
        self._hold(0)
        for task in self._later:
            task.cancel()
        self._writer.close()  # what is written already is still sent

    async def converse(self) -> None:
        framer = Framer(self._limits.frame_bytes)
        loop = asyncio.get_running_loop()
        begun: float | None = None  # when the first byte of what is pending came
        while True:
            limit = self._limits.idle_seconds
            if begun is not None:
                limit = max(0.0, begun + self._limits.frame_seconds - loop.time())
            try:
                async with asyncio.timeout(limit):
                    data = await self._reader.read(1 << 16)
            except TimeoutError:
                await self._unfinished(framer, "within the time limit")
                return
            if not data:
                await self._unfinished(framer, "before the connection ended")
                return
            pieces = framer.feed(data)
            if not self._hold(framer.size):
                return
            for piece in pieces:
                if not await self._answer(piece):
                    return
            if not (framer.inside or framer.pending):
                begun = None
            elif begun is None or pieces:
                begun = loop.time()

    def _hold(self, size: int) -> bool:
        """Counts this connection's unfinished bytes; False when all connections together have too many."""
        self._service.held += size - self._held
        self._held = size
        if size and self._service.held > self._limits.buffer_bytes:
            _log.warning(
                "mllp: %d bytes of unfinished messages are too many: one connection closes", self._service.held
            )
            return False
        return True

    async def _answer(self, piece: Piece) -> bool:
        """Answers a piece; False when the connection is to be closed."""
        if piece.kind == "frame":
            answer = await self._service.handle(piece.content)
            now, later = (answer, None) if isinstance(answer, bytes) else answer
            await self._send(now)
            if later is not None:
                self._promise(later)
            return True
        if piece.kind == "broken":
            await self._refused(piece.content, "a frame without end: the next one begins inside it", True)
            return True
        reason = f"the message is longer than {self._limits.frame_bytes} bytes"
        await self._refused(piece.content, reason, False)
        await self._goodbye()
        return False

    def _promise(self, later: Awaitable[bytes]) -> None:
        answer = asyncio.ensure_future(later)
        if len(self._later) >= self._limits.later:
            answer.cancel()
            return

        async def keep() -> None:
            try:
                await self._send(await answer)
            except (ConnectionError, TimeoutError):
                _log.info("mllp: nobody there for an answer that was promised")
            finally:
                answer.cancel()

        task = asyncio.create_task(keep())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _unfinished(self, framer: Framer, when: str) -> None:
        content = framer.pending
        if framer.inside:
            await self._refused(content, f"a frame without end: no FS (0x1C) {when}", True)
        elif content:
            await self._refused(content, f"no frame: no VT (0x0B) {when}", True)
        if content:
            await self._goodbye()

    async def _refused(self, content: bytes, reason: str, keep: bool) -> None:
        _log.warning("mllp: %s: %s", self._writer.get_extra_info("peername"), reason)
        if self._service.refuse is not None:
            await self._send(await self._service.refuse(content, reason, keep))

    async def _send(self, answer: bytes) -> None:
        if answer:
            self._writer.write(VT + answer + FS + CR)
            async with asyncio.timeout(self._limits.frame_seconds):
                await self._writer.drain()

    async def _goodbye(self) -> None:
        """Ends our side and reads on: closing on unread bytes would take the answer back before the peer has it."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
        try:
            async with asyncio.timeout(self._limits.linger_seconds):
                while await self._reader.read(1 << 16):
                    pass
        except TimeoutError:
            pass
