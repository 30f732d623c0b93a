"""kill -9 of gateway and server while messages stream: nothing acknowledged is lost, nothing doubled, order is kept."""

import asyncio
import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests import servers

GATEWAY = [sys.executable, "-c", "import typer; from adapters.gateway.commands import gateway; typer.run(gateway)"]
SENDERS = 4


class Life:
    """A process that is killed and started again; only the test ends it."""

    def __init__(self, command: list[str], port: int, log: Path) -> None:
        self._command, self._port, self._log = command, port, log
        self._stack = ExitStack()
        self.process: subprocess.Popen[bytes] | None = None
        self.kills = 0

    def start(self) -> None:
        log = self._log.with_suffix(f".{self.kills}.log")
        self.process = self._stack.enter_context(servers.running(self._command, self._port, log))

    def kill(self) -> None:
        assert self.process is not None and self.process.poll() is None, "it must have lived until now"
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1

    def end(self) -> None:
        self._stack.close()


class Place:
    """A server and a gateway in front of it, both on fixed ports and folders."""

    def __init__(self, folder: Path, ack: str) -> None:
        self.folder, self.mllp, fhir = folder, servers.free_port(), servers.free_port()
        self.base = f"http://127.0.0.1:{fhir}/fhir"
        self.journal = folder / "journal.sqlite"
        config = folder / "gateway.toml"
        config.write_text(
            f"""
            [journal]
            path = "{self.journal}"
            [destination.region]
            url = "{self.base}"
            retry_first = "50ms"
            retry_pause = "300ms"
            retry_longest = "1s"
            [source.his]
            kind = "mllp"
            port = {self.mllp}
            ack = "{ack}"
            destination = "region"
            """
        )
        serve = [sys.executable, "-m", "server", "serve", "--port", str(fhir), "--data", str(folder / "data")]
        self.server = Life(serve, fhir, folder / "server")
        self.gateway = Life([*GATEWAY, "--config", str(config)], self.mllp, folder / "gateway")

    def undelivered(self) -> int:
        with contextlib.closing(sqlite3.connect(self.journal)) as db:
            return int(db.execute("SELECT count(*) FROM message WHERE state <> 'delivered'").fetchone()[0])


@asynccontextmanager
async def placed(folder: Path, ack: str) -> AsyncIterator[Place]:
    place = Place(folder, ack)
    place.server.start()
    place.gateway.start()
    try:
        yield place
    finally:
        place.gateway.end()
        place.server.end()


def message(patient: str, turn: int) -> bytes:
    return (
        f"MSH|^~\\&|HIS|HOSPITAL|||2026030108{turn // 60:02}{turn % 60:02}||ADT^A08|{patient}-{turn}|P|2.4\r"
        f"PID|1||{patient}^^^HOSPITAL||Name{turn}^Of{patient}||19800101|F\r"
    ).encode()


async def send(port: int, content: bytes) -> bytes:
    """The answer to a message, sent until there is a positive one."""
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"\x0b" + content + b"\x1c\r")
                async with asyncio.timeout(20):
                    answer = await reader.readuntil(b"\x1c\r")
                if b"MSA|AA|" in answer:
                    return answer
            finally:
                writer.close()
        await asyncio.sleep(0.05)


async def stream(place: Place, total: int, kills: int, chance: random.Random) -> int:
    """Sends `total` messages of 3 turns a patient while processes die; how many patients there are."""
    patients = [f"P{n}" for n in range(total // 3)]
    acknowledged = 0

    async def sender(mine: list[str]) -> None:
        nonlocal acknowledged
        for patient in mine:
            for turn in range(3):
                answer = await send(place.mllp, message(patient, turn))
                assert f"MSA|AA|{patient}-{turn}".encode() in answer
                acknowledged += 1

    async def killer() -> None:
        points = sorted(chance.sample(range(1, total - 1), kills))
        for number, point in enumerate(points):
            while acknowledged < point:
                await asyncio.sleep(0.002)
            await asyncio.sleep(chance.random() * 0.05)
            victim = place.server if number % 3 == 2 else place.gateway
            await asyncio.to_thread(victim.kill)
            await asyncio.to_thread(victim.start)

    await asyncio.gather(killer(), *(sender(patients[n::SENDERS]) for n in range(SENDERS)))
    return len(patients)


async def settled(place: Place, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while place.undelivered():
            await asyncio.sleep(0.1)


async def check(place: Place, patients: int) -> None:
    """Every message is there once, every patient has gone through its three turns in their order."""
    async with httpx.AsyncClient(base_url=place.base, timeout=60) as http:

        async def total(query: str) -> int:
            return int((await http.get(query, params={"_summary": "count"})).json()["total"])

        assert await total("/Patient") == patients
        assert await total("/Provenance") == 3 * patients
        assert await total("/DocumentReference") == 3 * patients
        seen, url = 0, f"{place.base}/Patient?_count=200"
        while url:
            page = (await http.get(url)).json()
            for entry in page["entry"]:
                patient = entry["resource"]
                assert patient["name"][0]["family"] == "Name2", "the last turn wins"
                assert patient["meta"]["versionId"] == "3", "no turn was written twice"
                seen += 1
            url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
        assert seen == patients


@pytest.mark.parametrize("ack", ["stored", "committed"])
async def test_kills_lose_nothing_acknowledged_and_double_nothing(tmp_path: Path, ack: str) -> None:
    async with placed(tmp_path, ack) as place:
        patients = await stream(place, total=90, kills=4, chance=random.Random(7))
        await settled(place, 60)
        await check(place, patients)
        assert (place.gateway.kills, place.server.kills) == (3, 1)


@pytest.mark.long
async def test_many_kills_during_five_thousand_messages_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    chance = random.Random()
    async with placed(tmp_path, "stored") as place:
        patients = await stream(place, total=4998, kills=30, chance=chance)
        await settled(place, 600)
        await check(place, patients)
