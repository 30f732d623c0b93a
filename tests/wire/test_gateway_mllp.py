"""MLLP into the gateway's engine: which answer when, both modes, bad peers, TLS, allow-list, limits."""

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import Problem
from adapters.delivery import Delivery, Written
from adapters.engine import review
from adapters.engine.engine import Engine
from adapters.engine.review import Wanted
from adapters.listeners.hl7v2_receiver import Receiver
from adapters.listeners.mllp import Limits, serve_mllp
from adapters.runner import Conversion
from tests.gateways import SOURCE, engine_on

AWAY = Delivery("again", problems=[Problem("error", "transient", "nobody there")], reached=False)


class Server:
    """A destination that stores, or gives `answer`; it waits for `gate` first."""

    base = "http://fhir.example/fhir"

    def __init__(self, answer: Delivery | None = None) -> None:
        self.answer, self.seen = answer, 0

    def deliver(self, conversion: Conversion) -> Delivery:
        if self.answer is not None:
            return self.answer
        self.seen += 1
        return Delivery("stored", [Written("Patient", "x/Patient/1", "created")])

    def close(self) -> None:
        pass


def adt(number: str = "1", accept: str = "", application: str = "", birth: str = "19800101") -> bytes:
    return (
        f"MSH|^~\\&|HIS|HOSPITAL|||20260301080000||ADT^A01|{number}|P|2.5|||{accept}|{application}\r"
        f"PID|1||P{number}^^^HOSPITAL||Zhang^San||{birth}|F\r"
    ).encode()


def frame(content: bytes) -> bytes:
    return b"\x0b" + content + b"\x1c\r"


@asynccontextmanager
async def listening(
    folder: Path, server: Server, ack: str = "stored", limits: Limits | None = None, **more: Any
) -> AsyncIterator[tuple[Engine, int]]:
    of_engine = {name: more.pop(name) for name in ("budget_bytes", "habits") if name in more}
    wait = more.pop("commit_seconds", 5.0)
    async with engine_on(folder, server, ack=ack, **of_engine) as engine:
        receiver = Receiver(engine, SOURCE, wait)
        listener = await serve_mllp(
            "127.0.0.1", 0, receiver.handle, refuse=receiver.refuse, limits=limits or Limits(), **more
        )
        async with listener:
            yield engine, listener.sockets[0].getsockname()[1]


@asynccontextmanager
async def connected(port: int, **more: Any) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **more)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> list[list[str]]:
    async with asyncio.timeout(20):
        content = (await reader.readuntil(b"\x1c\r"))[1:-2]
    return [line.split("|") for line in content.decode().split("\r")[:-1]]


async def codes(reader: asyncio.StreamReader, count: int) -> list[str]:
    return [(await answer(reader))[1][1] for _ in range(count)]


async def quiet(reader: asyncio.StreamReader, seconds: float = 0.3) -> bool:
    """Nothing is said for a while."""
    try:
        async with asyncio.timeout(seconds):
            await reader.readuntil(b"\x1c\r")
    except TimeoutError:
        return True
    return False


def states(engine: Engine) -> list[str]:
    return [row["state"] for row in review.rows(engine.journal.file, Wanted(), 100)]


# -------------------------------------------------------------------------------------------------- original mode
async def test_a_stored_message_is_answered_although_its_destination_is_away(tmp_path: Path) -> None:
    async with listening(tmp_path, Server(AWAY)) as (engine, port), connected(port) as (reader, writer):
        writer.write(frame(adt("A-7")) + frame(adt("A-8")))
        first, second = await answer(reader), await answer(reader)
        assert (first[1], second[1]) == (["MSA", "AA", "A-7"], ["MSA", "AA", "A-8"])
        assert len(states(engine)) == 2 and "delivered" not in states(engine)


async def test_a_number_comes_back_byte_for_byte(tmp_path: Path) -> None:
    async with listening(tmp_path, Server()) as (_, port), connected(port) as (reader, writer):
        odd = "  Nr\\S\\7^x~y&z 号 "
        writer.write(frame(adt(odd)))
        assert (await answer(reader))[1] == ["MSA", "AA", odd]


async def test_what_cannot_be_read_is_told_at_once_and_kept(tmp_path: Path) -> None:
    async with listening(tmp_path, Server()) as (engine, port), connected(port) as (reader, writer):
        writer.write(frame(b"hello, this is no HL7"))
        assert (await answer(reader))[1][:2] == ["MSA", "AE"]
        assert len(states(engine)) == 1
        (row,) = engine.journal.file.read("SELECT raw FROM content")
        assert row["raw"] == b"hello, this is no HL7"


async def test_committed_is_answered_when_the_destination_has_it_and_again_when_it_is_away(tmp_path: Path) -> None:
    server = Server()
    async with listening(tmp_path, server, "committed") as (engine, port), connected(port) as (reader, writer):
        writer.write(frame(adt("1")))
        assert await codes(reader, 1) == ["AA"] and server.seen == 1
        server.answer = AWAY
        writer.write(frame(adt("2")))
        lines = await answer(reader)
        assert lines[1][:3] == ["MSA", "AR", "2"] and "nobody there" in lines[1][3]
        assert states(engine) == ["dead", "delivered"], "its sender keeps it"
        server.answer = None
        writer.write(frame(adt("2")) + frame(adt("1")) + frame(adt("3", birth="20230230")))
        assert await codes(reader, 3) == ["AA", "AA", "AE"]
        assert states(engine) == ["dead", "delivered", "delivered"]
        assert server.seen == 3, "the first one was there, the last one's bytes were kept"


async def test_committed_does_not_wait_for_ever(tmp_path: Path) -> None:
    class Hangs(Server):
        def deliver(self, conversion: Conversion) -> Delivery:
            import time

            time.sleep(1.5)
            return super().deliver(conversion)

    async with (
        listening(tmp_path, Hangs(), "committed", commit_seconds=0.2) as (_, port),
        connected(port) as (reader, writer),
    ):
        writer.write(frame(adt("1")))
        lines = await answer(reader)
        assert lines[1][1] == "AR" and "not delivered within" in lines[1][3]


async def test_a_full_journal_is_told_so_and_the_next_message_is_taken_again(tmp_path: Path) -> None:
    async with listening(tmp_path, Server()) as (engine, port), connected(port) as (reader, writer):

        def limit(pages: int) -> None:
            engine.journal.file.submit(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchall()).result()

        limit(1)
        long = adt("1") + b"NTE|1||" + b"x" * 100_000 + b"\r"
        writer.write(frame(long) + frame(adt("2", "AL", "NE") + b"NTE|1||" + b"x" * 100_000 + b"\r"))
        refused, enhanced = await answer(reader), await answer(reader)
        assert refused[1][:3] == ["MSA", "AR", "1"] and "full" in refused[1][3]
        assert enhanced[1][:3] == ["MSA", "CE", "2"]
        assert states(engine) == []
        limit(1_000_000)
        writer.write(frame(long))
        assert await codes(reader, 1) == ["AA"]


# -------------------------------------------------------------------------------------------------- enhanced mode
@pytest.mark.parametrize(
    ("accept", "application", "good", "bad"),
    [
        ("AL", "NE", ["CA"], ["CA"]),
        ("AL", "AL", ["CA", "AA"], ["CA", "AE"]),
        ("AL", "", ["CA"], ["CA"]),
        ("SU", "ER", ["CA"], ["CA", "AE"]),
        ("NE", "AL", ["AA"], ["AE"]),
        ("", "AL", ["AA"], ["AE"]),
        ("ER", "SU", ["AA"], []),
        ("NE", "NE", [], []),
        ("", "", ["AA"], ["AA"]),
    ],
)
@pytest.mark.parametrize("ack", ["stored", "committed"])
async def test_each_answer_comes_when_it_is_asked_for(
    tmp_path: Path, ack: str, accept: str, application: str, good: list[str], bad: list[str]
) -> None:
    if not accept + application and ack == "committed":
        bad = ["AE"]  # original mode: the one answer waits for the end
    async with listening(tmp_path, Server(), ack) as (_, port), connected(port) as (reader, writer):
        writer.write(frame(adt("1", accept, application)))
        assert await codes(reader, len(good)) == good
        writer.write(frame(adt("2", accept, application, birth="20230230")))
        assert await codes(reader, len(bad)) == bad
        assert await quiet(reader)


async def test_an_application_answer_comes_after_the_outage_and_names_its_message(tmp_path: Path) -> None:
    server = Server(AWAY)
    async with listening(tmp_path, server) as (_, port), connected(port) as (reader, writer):
        writer.write(frame(adt("N-1", "AL", "AL")))
        assert (await answer(reader))[1] == ["MSA", "CA", "N-1"]
        assert await quiet(reader)
        writer.write(frame(adt("N-2", "AL", "NE")))
        assert (await answer(reader))[1] == ["MSA", "CA", "N-2"], "nothing waits for the first one"
        server.answer = None
        header, msa = await answer(reader)
        assert msa == ["MSA", "AA", "N-1"] and header[8].startswith("ACK")
        writer.write(frame(b"MSH|^~\\&|A|B|||||ACK^A01|9|P|2.5\rMSA|CA|" + header[9].encode() + b"\r"))
        assert await quiet(reader), "an answer is never answered"


async def test_a_sender_that_hangs_up_gets_no_late_answer_and_nothing_breaks(tmp_path: Path) -> None:
    server = Server(AWAY)
    async with listening(tmp_path, server) as (engine, port):
        async with connected(port) as (reader, writer):
            writer.write(frame(adt("1", "AL", "AL")))
            assert await codes(reader, 1) == ["CA"]
        server.answer = None
        async with asyncio.timeout(10):
            while states(engine) != ["delivered"]:
                await asyncio.sleep(0.02)


# ------------------------------------------------------------------------------------------------------- bad peers
async def test_the_answer_to_an_endless_frame_arrives_and_memory_is_bounded(tmp_path: Path) -> None:
    limits = Limits(frame_bytes=100_000, linger_seconds=5)
    async with listening(tmp_path, Server(), limits=limits) as (engine, port), connected(port) as (reader, writer):
        writer.write(b"\x0b" + adt("1"))

        async def flood() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"x" * 50_000)
                    await writer.drain()
                    await asyncio.sleep(0)

        flooding = asyncio.create_task(flood())
        lines = await answer(reader)
        assert lines[1][:3] == ["MSA", "AE", "1"] and "longer than 100000 bytes" in lines[1][3]
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
        assert states(engine) == [], "it is not kept"


async def test_garbage_before_a_message_does_no_harm(tmp_path: Path) -> None:
    async with listening(tmp_path, Server()) as (_, port), connected(port) as (reader, writer):
        writer.write(b"\x00\xff GET / HTTP/1.1\r\n\r\n" + frame(adt("1")))
        assert await codes(reader, 1) == ["AA"]


async def test_slow_peers_are_answered_at_the_deadline_and_do_not_delay_others(tmp_path: Path) -> None:
    limits = Limits(frame_seconds=2.0, idle_seconds=60)
    async with listening(tmp_path, Server(), limits=limits) as (engine, port), contextlib.AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(connected(port)) for _ in range(20)]
        for _, writer in slow:
            writer.write(b"\x0b" + adt("1")[:50])
        reader, writer = await stack.enter_async_context(connected(port))
        for _ in range(3):
            for _, drip in slow:
                drip.write(b"x")
            writer.write(frame(adt("2")))
            assert await codes(reader, 1) == ["AA"]
            await asyncio.sleep(0.1)
        for one, _ in slow:
            assert "frame without end" in (await answer(one))[1][3]
            assert await one.read() == b""
        kept = [row["broken"] for row in engine.journal.file.read("SELECT broken FROM content")]
        assert any("frame without end" in reason for reason in kept)


async def test_a_peer_may_not_take_all_connections(tmp_path: Path) -> None:
    limits = Limits(connections=10, connections_per_peer=2)
    async with listening(tmp_path, Server(), limits=limits) as (_, port):
        async with connected(port) as (one, _), connected(port) as (_, two), connected(port) as (third, _):
            with contextlib.suppress(ConnectionResetError):
                assert await third.read() == b""
            two.write(frame(adt("1")))
            assert await quiet(one, 0.05)
        async with asyncio.timeout(10):
            while True:  # a place is free again as soon as the listener has seen them go
                async with connected(port) as (reader, writer):
                    writer.write(frame(adt("2")))
                    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                        assert await codes(reader, 1) == ["AA"]
                        break


async def test_unfinished_messages_of_all_peers_together_have_a_limit(tmp_path: Path) -> None:
    limits = Limits(frame_bytes=100_000, buffer_bytes=150_000)
    async with (
        listening(tmp_path, Server(), limits=limits) as (_, port),
        connected(port) as (first, one),
        connected(port) as (second, two),
    ):
        reads = {}
        for number, (reader, writer) in enumerate([(first, one), (second, two)]):
            writer.write(b"\x0b" + adt(str(number)) + b"NTE|1||" + b"x" * 90_000)
            reads[asyncio.create_task(reader.readuntil(b"\x1c\r"))] = writer
        async with asyncio.timeout(20):
            closed, _ = await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
        assert len(closed) == 1, "one of them was too much, whichever came second"
        (gone,) = closed
        assert isinstance(gone.exception(), asyncio.IncompleteReadError | ConnectionError)
        ((left, writer),) = ((task, writer) for task, writer in reads.items() if task is not gone)
        writer.write(b"\r\x1c\r")
        assert b"MSA|AA|" in await left


async def test_only_allowed_addresses_may_connect(tmp_path: Path) -> None:
    for network, welcome in (("10.1.0.0/16", False), ("127.0.0.0/8", True)):
        folder = tmp_path / str(welcome)
        folder.mkdir()
        async with (
            listening(folder, Server(), allow=[ip_network(network)]) as (_, port),
            connected(port) as (reader, writer),
        ):
            writer.write(frame(adt("1")))
            if welcome:
                assert await codes(reader, 1) == ["AA"]
            else:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""


# ------------------------------------------------------------------------------------------------------------- TLS
@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    pair = folder / "certificate.pem", folder / "key.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
        "-out", str(pair[0]), "-keyout", str(pair[1]),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return pair


async def test_messages_come_over_tls_and_plain_ones_do_not(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    from adapters.gateway.configuration import options, tls

    context = tls(options("mllp", certificate=certificate[0], private_key=certificate[1]))
    peer = ssl.create_default_context(cafile=str(certificate[0]))
    async with listening(tmp_path, Server(), tls=context) as (_, port):
        async with connected(port, ssl=peer) as (reader, writer):
            writer.write(frame(adt("1")))
            assert await codes(reader, 1) == ["AA"]
        async with connected(port) as (reader, writer):
            writer.write(frame(adt("2")))
            with contextlib.suppress(ConnectionError):
                assert b"MSA" not in await reader.read()


async def test_a_peer_without_a_certificate_is_turned_away_where_one_is_asked_for(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    from adapters.gateway.configuration import options, tls

    given = options("mllp", certificate=certificate[0], private_key=certificate[1], client_authorities=certificate[0])
    async with listening(tmp_path, Server(), tls=tls(given)) as (_, port):
        peer = ssl.create_default_context(cafile=str(certificate[0]))
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            async with connected(port, ssl=peer) as (reader, writer):
                writer.write(frame(adt("1")))
                assert await reader.read() == b""
        peer.load_cert_chain(*certificate)
        async with connected(port, ssl=peer) as (reader, writer):
            writer.write(frame(adt("2")))
            assert await codes(reader, 1) == ["AA"]
