"""MLLP framing on the wire: what comes in is answered in order, and bad peers are answered, then let go."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.listeners.mllp import CR, FS, VT, Framer, Limits, serve_mllp


def frame(content: bytes) -> bytes:
    return VT + content + FS + CR


# -------------------------------------------------------------------------------------------------- framing
@given(
    st.lists(st.binary(min_size=1, max_size=30).map(lambda b: b.replace(VT, b"v").replace(FS, b"f")), max_size=5),
    st.lists(st.integers(1, 20), min_size=1, max_size=20),
)
def test_frames_are_the_same_however_the_bytes_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(message) for message in messages)
    framer, found, at, turn = Framer(1000), [], 0, 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        found += framer.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert [(piece.kind, piece.content) for piece in found] == [("frame", message) for message in messages]
    assert framer.pending == b""


def test_bytes_before_a_frame_and_line_ends_between_frames_are_left_out() -> None:
    found = Framer(100).feed(b"garbage" + frame(b"one") + b"\r\n" + frame(b"two"))
    assert [piece.content for piece in found] == [b"one", b"two"]


def test_a_second_start_breaks_the_first_frame() -> None:
    found = Framer(100).feed(VT + b"half" + frame(b"whole"))
    assert [(piece.kind, piece.content) for piece in found] == [("broken", b"half"), ("frame", b"whole")]


def test_a_carriage_return_after_the_end_is_not_demanded() -> None:
    assert [p.content for p in Framer(100).feed(VT + b"one" + FS + VT + b"two" + FS)] == [b"one", b"two"]


def test_gb18030_never_looks_like_a_frame_mark() -> None:
    for code in range(0x4E00, 0xA000):
        assert not set(chr(code).encode("gb18030")) & {0x0B, 0x1C, 0x0D}


# ---------------------------------------------------------------------------------------------- connections
@dataclass
class Peer:
    """What the service was given, and how it answers."""

    answer: Callable[[bytes], Awaitable[bytes]]
    handled: list[bytes] = field(default_factory=list)
    refused: list[tuple[bytes, str, bool]] = field(default_factory=list)

    async def handle(self, content: bytes) -> bytes:
        self.handled.append(content)
        return await self.answer(content)

    async def refuse(self, content: bytes, reason: str, keep: bool) -> bytes:
        self.refused.append((content, reason, keep))
        return b"AE " + reason.encode()


async def _echo(content: bytes) -> bytes:
    return b"AA " + content


@asynccontextmanager
async def listening(
    answer: Callable[[bytes], Awaitable[bytes]] = _echo, **limits: float
) -> AsyncIterator[tuple[Peer, int]]:
    peer = Peer(answer)
    server = await serve_mllp("127.0.0.1", 0, peer.handle, refuse=peer.refuse, limits=Limits(**limits))  # type: ignore[arg-type]
    async with server:
        yield peer, server.sockets[0].getsockname()[1]


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def answers(reader: asyncio.StreamReader, count: int) -> list[bytes]:
    async with asyncio.timeout(5):
        found = [await reader.readuntil(FS + CR) for _ in range(count)]
    assert all(answer.startswith(VT) for answer in found)
    return [answer[1:-2] for answer in found]


async def ended(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(5):
        return await reader.read() == b""


async def test_several_frames_in_one_write_are_answered_in_order() -> None:
    async def slow_first(content: bytes) -> bytes:
        await asyncio.sleep(0.05 if content == b"1" else 0)
        return content

    async with listening(slow_first) as (_, port), connected(port) as (reader, writer):
        writer.write(frame(b"1") + frame(b"2") + frame(b"3"))
        assert await answers(reader, 3) == [b"1", b"2", b"3"]


async def test_a_frame_in_many_pieces_is_one_message() -> None:
    async with listening() as (_, port), connected(port) as (reader, writer):
        for byte in frame(b"MSH|x"):
            writer.write(bytes([byte]))
            await writer.drain()
        assert await answers(reader, 1) == [b"AA MSH|x"]


async def test_connections_do_not_wait_for_each_other() -> None:
    gate = asyncio.Event()

    async def first_waits(content: bytes) -> bytes:
        if content == b"1":
            await gate.wait()
        return content

    async with listening(first_waits) as (_, port), connected(port) as (r1, w1), connected(port) as (r2, w2):
        w1.write(frame(b"1"))
        w2.write(frame(b"2"))
        assert await answers(r2, 1) == [b"2"]
        gate.set()
        assert await answers(r1, 1) == [b"1"]


async def test_an_empty_answer_sends_nothing() -> None:
    async def silent_once(content: bytes) -> bytes:
        return b"" if content == b"ACK" else content

    async with listening(silent_once) as (_, port), connected(port) as (reader, writer):
        writer.write(frame(b"ACK") + frame(b"2"))
        assert await answers(reader, 1) == [b"2"]


async def test_a_frame_without_end_is_answered_at_the_deadline_kept_and_closed() -> None:
    async with listening(frame_seconds=0.2) as (peer, port), connected(port) as (reader, writer):
        writer.write(VT + b"MSH|half")
        (answer,) = await answers(reader, 1)
        assert b"frame without end" in answer
        assert await ended(reader)
        assert [(content, keep) for content, _, keep in peer.refused] == [(b"MSH|half", True)]


async def test_dripping_bytes_does_not_move_the_deadline() -> None:
    async with listening(frame_seconds=0.3, idle_seconds=5) as (peer, port), connected(port) as (reader, writer):
        writer.write(VT)
        started = asyncio.get_running_loop().time()
        for _ in range(20):
            writer.write(b"x")
            await asyncio.sleep(0.05)
            if peer.refused:
                break
        assert asyncio.get_running_loop().time() - started < 0.8
        assert peer.refused[0][0].strip(b"x") == b""
        assert b"frame without end" in (await answers(reader, 1))[0]


async def test_a_connection_that_ends_inside_a_frame_keeps_the_bytes() -> None:
    async with listening() as (peer, port), connected(port) as (reader, writer):
        writer.write(VT + b"MSH|half")
        writer.write_eof()
        assert b"before the connection ended" in (await answers(reader, 1))[0]
        assert peer.refused[0][0] == b"MSH|half"


async def test_a_message_without_a_frame_is_answered_and_kept() -> None:
    async with listening(frame_seconds=0.2) as (peer, port), connected(port) as (reader, writer):
        writer.write(b"MSH|^~\\&|bare\r")
        assert b"no VT" in (await answers(reader, 1))[0]
        assert peer.refused[0][0] == b"MSH|^~\\&|bare"
        assert await ended(reader)


@pytest.mark.parametrize("start", [VT, b""])
async def test_a_message_above_the_limit_is_answered_and_closed(start: bytes) -> None:
    async with listening(frame_bytes=1000) as (peer, port), connected(port) as (reader, writer):
        writer.write(start + b"x" * 1500)
        assert b"longer than 1000 bytes" in (await answers(reader, 1))[0]
        assert await ended(reader)
        assert [keep for _, _, keep in peer.refused] == [False]


async def test_a_message_as_long_as_the_limit_is_taken() -> None:
    async with listening(frame_bytes=1000) as (_, port), connected(port) as (reader, writer):
        writer.write(frame(b"x" * 1000))
        assert len((await answers(reader, 1))[0]) == 1003


async def test_a_second_start_answers_the_broken_message_and_the_next() -> None:
    async with listening() as (peer, port), connected(port) as (reader, writer):
        writer.write(VT + b"half" + frame(b"whole"))
        broken, whole = await answers(reader, 2)
        assert b"frame without end" in broken
        assert whole == b"AA whole"
        assert peer.refused[0][::2] == (b"half", True)


async def test_silence_between_frames_closes_without_an_answer() -> None:
    async with listening(idle_seconds=0.2) as (peer, port), connected(port) as (reader, writer):
        writer.write(frame(b"1"))
        await answers(reader, 1)
        assert await ended(reader)
        assert peer.refused == []


async def test_a_connection_above_the_limit_is_closed_and_a_freed_place_is_given_again() -> None:
    async with listening(connections=1) as (_, port):
        async with connected(port) as (reader, writer):
            writer.write(frame(b"1"))
            await answers(reader, 1)
            async with connected(port) as (other, _):
                with contextlib.suppress(ConnectionResetError):
                    assert await ended(other)
        await asyncio.sleep(0.1)
        async with connected(port) as (reader, writer):
            writer.write(frame(b"2"))
            assert await answers(reader, 1) == [b"AA 2"]


async def test_a_failing_handler_closes_without_an_answer_so_that_the_sender_tries_again() -> None:
    async def fails(content: bytes) -> bytes:
        raise RuntimeError("broken")

    async with listening(fails) as (_, port), connected(port) as (reader, writer):
        writer.write(frame(b"1"))
        assert await ended(reader)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
async def test_only_loopback_is_listened_on_unless_allowed(host: str) -> None:
    with pytest.raises(ValueError, match="no authentication"):
        await serve_mllp(host, 0, _echo)
