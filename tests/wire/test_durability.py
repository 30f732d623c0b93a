"""What was acknowledged is there after the process was killed, and transactions are whole or not there."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import servers
from tests.client import Fhir, Resource, bundle, done, post, put

WRITERS = 8
KILLS = 2


@pytest.fixture
def store(store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Options of `serve` for an empty store of each kind; the database server itself is not killed."""
    if store_kind == "mongodb":
        yield ["--store", servers.database(request.getfixturevalue("mongodb"), f"durable_{tmp_path.name}")]
    else:
        yield []


def single(name: str) -> Resource:
    return {"resourceType": "Basic", "id": name, "code": {"text": name}}


def pair(name: str) -> Resource:
    """A transaction of three: a list, and two resources that refer to each other and carry its name."""
    urn = f"urn:uuid:{name}"
    patient = {"resourceType": "Patient", "identifier": [{"value": name}]}
    note = {
        "resourceType": "Basic",
        "code": {"text": name},
        "identifier": [{"value": name}],
        "subject": {"reference": urn},
    }
    return bundle("transaction", post(patient, urn), post(note), put(single(f"{name}t")))


class Writers:
    """Clients that write until the server dies, and remember what it acknowledged."""

    def __init__(self, base: str, round: int) -> None:
        self.base, self.round = base, round
        self.singles: list[str] = []
        self.pairs: list[str] = []
        self.tried: list[str] = []
        self.versions: dict[str, int] = {}

    async def write(self, writer: int) -> None:
        async with httpx.AsyncClient(timeout=30) as http:
            fhir, number = Fhir(http, self.base), 0
            try:
                while True:
                    name = f"r{self.round}w{writer}n{number}"
                    number += 1
                    done(await fhir.put(f"Basic/{name}", single(name)), 201)
                    self.singles.append(name)
                    again = await fhir.put(f"Basic/{name}", {**single(name), "language": "zh"})
                    done(again, 200)
                    self.versions[name] = 2
                    self.tried.append(f"{name}p")
                    done(await fhir.post("", pair(f"{name}p")), 200)
                    self.pairs.append(f"{name}p")
            except httpx.HTTPError:
                return


async def check(fhir: Fhir, writers: Writers) -> None:
    for name in writers.singles:
        found = done(await fhir.get(f"Basic/{name}"))
        assert int(found["meta"]["versionId"]) >= writers.versions.get(name, 1)
        assert found["code"]["text"] == name
    for name in writers.tried:
        patients = await fhir.ids(f"Patient?identifier={name}")
        notes = await fhir.ids(f"Basic?identifier={name}")
        third = (await fhir.get(f"Basic/{name}t")).status_code == 200
        assert (len(patients), len(notes), third) in ((1, 1, True), (0, 0, False)), f"{name} is half there"
        if name in writers.pairs:
            assert third, f"{name} was acknowledged"
        if third:
            assert await fhir.ids(f"Basic?subject=Patient/{patients[0]}") == notes


async def test_a_kill_loses_nothing_acknowledged_and_halves_no_transaction(store: list[str], tmp_path: Path) -> None:
    rounds: list[Writers] = []
    for round in range(KILLS):
        with servers.tiercare(tmp_path, *store) as server:
            writers = Writers(server.base, round)
            rounds.append(writers)
            tasks = [asyncio.create_task(writers.write(n)) for n in range(WRITERS)]
            while len(writers.pairs) < 12:
                await asyncio.sleep(0.01)
                assert server.process.poll() is None
            server.process.send_signal(signal.SIGKILL)
            await asyncio.gather(*tasks)
    with servers.tiercare(tmp_path, *store) as server:
        async with httpx.AsyncClient(timeout=30) as http:
            for writers in rounds:
                await check(Fhir(http, server.base), writers)


async def test_the_change_sequence_goes_on_after_a_kill(store: list[str], tmp_path: Path) -> None:
    stamps: list[str] = []
    for round in range(2):
        with servers.tiercare(tmp_path, *store) as server:
            async with httpx.AsyncClient(timeout=30) as http:
                fhir = Fhir(http, server.base)
                await fhir.store(single(f"a{round}"))
                history = done(await fhir.get("_history?_count=100"))
                stamps = [e["resource"]["id"] for e in history["entry"]]
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
    assert stamps == ["a1", "a0"]
