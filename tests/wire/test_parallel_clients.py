"""Many clients at once, on both stores, with one process and with two: one wins, nothing is lost, nothing is missed."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import httpx
import pytest

from server.keys import Change
from server.store.opening import open_store
from server.store.port import Store
from tests import servers
from tests.client import Fhir, Resource, bundle, done, entry, put, statuses, version_of

MANY = 50
WRITERS = 4
PATIENCE = 60.0


class Place(NamedTuple):
    """A server, and the URL by which a test reads its store beside it."""

    server: servers.Running
    beside: str
    processes: int


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers"])
def served(
    store_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A server process on each store, alone and with two workers, for all tests of this file."""
    folder = tmp_path_factory.mktemp("parallel")
    if store_kind == "mongodb":
        url = servers.database(request.getfixturevalue("mongodb"), f"parallel_{uuid4().hex}")
        options = ["--store", url]
    else:
        url, options = f"sqlite://{folder}?join={folder}/nowhere", []
    if request.param == 1:
        with servers.tiercare(folder, *options) as server:
            yield Place(server, url, 1)
    else:
        with servers.several(folder, *options) as server:
            yield Place(server, url, 2)


@asynccontextmanager
async def clients(base: str, count: int) -> AsyncIterator[list[Fhir]]:
    """Clients with a connection each, open, so that they are spread over the workers."""
    async with AsyncExitStack() as stack:
        limits = httpx.Limits(max_connections=1)
        found = [
            Fhir(await stack.enter_async_context(httpx.AsyncClient(timeout=PATIENCE, limits=limits)), base)
            for _ in range(count)
        ]
        for answer in await asyncio.gather(*(fhir.get("Patient?_count=1") for fhir in found)):
            done(answer)
        yield found


def person(system: str, value: str, family: str = "X") -> Resource:
    identifier = [{"system": system, "value": value}]
    return {"resourceType": "Patient", "identifier": identifier, "name": [{"family": family}]}


async def test_fifty_conditional_creates_of_one_identity_make_one_resource(served: Place, mark: str) -> None:
    async with clients(served.server.base, MANY) as many:
        for value in "abc":
            criteria = f"identifier={mark}|{value}"
            answers = await asyncio.gather(
                *(
                    fhir.post("Patient", person(mark, value, f"N{n}"), if_none_exist=criteria)
                    for n, fhir in enumerate(many)
                )
            )
            assert sorted(answer.status_code for answer in answers) == [200] * (MANY - 1) + [201]
            assert len({answer.json()["id"] for answer in answers}) == 1
            assert await many[0].ids(f"Patient?{criteria}") == [answers[0].json()["id"]]


async def test_of_fifty_updates_of_one_version_exactly_one_wins(served: Place, mark: str) -> None:
    async with clients(served.server.base, MANY) as many:
        done(await many[0].put(f"Patient/{mark}", {**person(mark, "x"), "id": mark}), 201)
        for version in (1, 2):
            answers = await asyncio.gather(
                *(
                    fhir.put(
                        f"Patient/{mark}",
                        {**person(mark, "x", f"V{version}N{n}"), "id": mark},
                        if_match=f'W/"{version}"',
                    )
                    for n, fhir in enumerate(many)
                )
            )
            assert sorted(answer.status_code for answer in answers) == [200] + [412] * (MANY - 1)
            (winner,) = (n for n, answer in enumerate(answers) if answer.status_code == 200)
            read = await many[-1].get(f"Patient/{mark}")
            assert version_of(read) == version + 1
            assert done(read)["name"][0]["family"] == f"V{version}N{winner}"


def note(id: str, text: str) -> Resource:
    return {"resourceType": "Basic", "id": id, "code": {"text": text}}


async def test_parallel_transactions_over_the_same_resources_are_whole_or_refused_with_retry_after(
    served: Place, mark: str
) -> None:
    """Every transaction writes the same two resources, in either order, and one of its own."""
    shared = [f"{mark}a", f"{mark}b"]
    async with clients(served.server.base, 20) as many:
        await many[0].store(*(note(id, "start") for id in shared))

        async def transact(n: int) -> httpx.Response:
            order = shared if n % 2 else shared[::-1]
            entries = [put(note(id, f"{n}")) for id in order] + [put(note(f"{mark}n{n}", f"{n}"))]
            return await many[n % len(many)].post("", bundle("transaction", *entries))

        answers = await asyncio.gather(*(transact(n) for n in range(3 * len(many))))
        won = [n for n, answer in enumerate(answers) if answer.status_code == 200]
        for answer in answers:
            assert answer.status_code in (200, 409), answer.text
            assert answer.status_code == 200 or answer.headers["retry-after"] == "1"
        assert won, "nobody got through"
        own = await asyncio.gather(*(many[0].get(f"Basic/{mark}n{n}") for n in range(len(answers))))
        assert [n for n, answer in enumerate(own) if answer.status_code == 200] == won
        histories = [done(await many[0].get(f"Basic/{id}/_history?_count=100"))["entry"] for id in shared]
        texts = [[e["resource"]["code"]["text"] for e in history] for history in histories]
        assert texts[0] == texts[1], "the two were not always written together"
        assert sorted(texts[0]) == sorted(["start", *(f"{n}" for n in won)])


async def test_no_increment_by_read_and_conditional_transaction_is_lost(served: Place, mark: str) -> None:
    each = 4
    async with clients(served.server.base, 8) as many:
        counters = [f"{mark}a", f"{mark}b"]
        await many[0].store(*(note(id, "0") for id in counters))

        async def add(fhir: Fhir) -> None:
            for _ in range(each):
                while True:
                    seen = [await fhir.get(f"Basic/{id}") for id in counters]
                    entries = [
                        entry(
                            "PUT", f"Basic/{id}", note(id, f"{int(read.json()['code']['text']) + 1}"),
                            ifMatch=read.headers["etag"],
                        )
                        for id, read in zip(counters, seen, strict=True)
                    ]  # fmt: skip
                    answer = await fhir.post("", bundle("transaction", *entries))
                    if answer.status_code == 200:
                        assert statuses(answer.json()) == ["200", "200"]
                        break
                    assert answer.status_code in (409, 412), answer.text

        async with asyncio.timeout(PATIENCE * 2):
            await asyncio.gather(*(add(fhir) for fhir in many))
        for id in counters:
            read = await many[0].get(f"Basic/{id}")
            assert done(read)["code"]["text"] == f"{each * len(many)}"
            assert version_of(read) == each * len(many) + 1


async def _follow(store: Store, seen: list[Change], until: asyncio.Event) -> None:
    """Reads with a cursor in small steps, as a subscriber does, until told to stop."""
    while not until.is_set():
        lines = await store.changes(seen[-1].stamp if seen else 0, 5)
        seen += lines
        await asyncio.sleep(0 if lines else 0.002)


async def test_a_reader_of_the_change_sequence_misses_no_write_of_four_writers(served: Place, mark: str) -> None:
    made: set[tuple[str, int]] = set()

    async def write(fhir: Fhir, writer: int) -> None:
        for n in range(25):
            id = f"{mark}w{writer}n{n % 5}"
            answer = await fhir.put(f"Basic/{id}", note(id, f"{n}"))
            done(answer)
            made.add((id, version_of(answer)))
            if n % 5 == 4:
                both = bundle("transaction", *(put(note(f"{mark}t{writer}{k}{n}", "t")) for k in "ab"))
                done(await fhir.post("", both), 200)
                made.update((f"{mark}t{writer}{k}{n}", 1) for k in "ab")

    store = await open_store(served.beside)
    seen: list[Change] = []
    until = asyncio.Event()
    try:
        follower = asyncio.create_task(_follow(store, seen, until))
        async with clients(served.server.base, WRITERS) as many:
            await asyncio.gather(*(write(fhir, n) for n, fhir in enumerate(many)))
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not made <= {(line.id, line.version) for line in seen}:
            await asyncio.sleep(0.05)
        until.set()
        await follower
    finally:
        await store.close()
    ours = [(line.id, line.version) for line in seen if line.id.startswith(mark)]
    assert len(ours) == len(set(ours)), "a change was shown twice"
    assert set(ours) == made
    stamps = [line.stamp for line in seen]
    assert stamps == sorted(set(stamps))
    for id in {id for id, _ in made}:
        assert [version for of, version in ours if of == id] == list(range(1, 1 + sum(of == id for of, _ in ours)))


class _Load:
    """Clients that write until they are told to stop, over new connections when one breaks."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.acknowledged: dict[str, int] = {}
        self.count = 0
        self.stop = False

    async def grows(self, by: int) -> None:
        """Waits for so many more acknowledged writes: they need a writing process."""
        enough, deadline = self.count + by, time.monotonic() + PATIENCE
        while self.count < enough:
            assert time.monotonic() < deadline, "nothing is written any more"
            await asyncio.sleep(0.01)

    async def write(self, writer: int) -> None:
        n = 0
        while not self.stop:
            async with httpx.AsyncClient(timeout=PATIENCE) as http:
                fhir = Fhir(http, self.base)
                try:
                    while not self.stop:
                        n += 1
                        await self._one(fhir, f"w{writer}n{n % 40}", n)
                except httpx.HTTPError:
                    await asyncio.sleep(0.01)  # its worker died

    async def _one(self, fhir: Fhir, id: str, n: int) -> None:
        answer = await fhir.put(f"Basic/{id}", note(id, f"{n}"))
        if answer.status_code == 503:
            assert answer.headers["retry-after"] == "1"
            await asyncio.sleep(0.01)
            return
        done(answer)
        self.acknowledged[id] = version_of(answer)
        self.count += 1


async def test_a_kill_of_the_writing_worker_under_load_loses_no_acknowledged_write(tmp_path: Path) -> None:
    with servers.several(tmp_path) as server:
        load = _Load(server.base)
        tasks = [asyncio.create_task(load.write(n)) for n in range(8)]
        for round in range(3):
            await load.grows(100)
            first, last = servers.workers_of(server)
            os.kill(last if round else first, signal.SIGKILL)  # the writing one, which was started last
        await load.grows(100)
        load.stop = True
        await asyncio.gather(*tasks)
        assert server.log.read_text().count("a worker died") == 3
        async with httpx.AsyncClient(timeout=PATIENCE) as http:
            fhir = Fhir(http, server.base)
            for id, version in load.acknowledged.items():
                assert version_of(await fhir.get(f"Basic/{id}")) >= version
                history = done(await fhir.get(f"Basic/{id}/_history?_count=1000"))["entry"]
                versions = [int(e["resource"]["meta"]["versionId"]) for e in history]
                assert versions == list(range(len(versions), 0, -1))
    assert "Traceback" not in server.log.read_text()
