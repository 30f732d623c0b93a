"""The evaluators agree on what follows references: random resources that refer to each other, random chains and `_has`
over them, through the real index extraction and the real query parser."""

import itertools
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.interaction.accept import accept
from server.keys import Entry, Select, Version, Write
from server.search.kinds.kind import Setting
from server.search.match import Peer, matches
from server.search.query import Query, parse
from server.store.opening import open_store
from server.store.port import Store
from tests import servers
from tests.knowledge.search_cases import RESOURCES, Resource, criteria, texts

SETTING = Setting(ZoneInfo("Asia/Shanghai"), servers.BASE, "content")
TYPES = ("Patient", "Observation", "ServiceRequest")
# what leads from one type to another: (searched, first part of the name, type arrived at)
STEPS = [
    ("Observation", "subject:Patient.", "Patient"),
    ("Observation", "patient.", "Patient"),
    ("ServiceRequest", "patient.", "Patient"),
    ("ServiceRequest", "subject:Patient.", "Patient"),
    ("Patient", "_has:Observation:subject:", "Observation"),
    ("Patient", "_has:ServiceRequest:patient:", "ServiceRequest"),
    ("Patient", "_has:Observation:patient:", "Observation"),
]
SEARCHES = 12  # searches an example: writing resources is the expensive part
_examples = itertools.count()
_health = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
SHORT = settings(max_examples=15, deadline=None, suppress_health_check=_health)
LONG = settings(max_examples=300, deadline=None, suppress_health_check=_health)


@pytest.fixture(scope="module")
async def stores(tmp_path_factory: pytest.TempPathFactory, mongodb: str) -> AsyncIterator[list[Store]]:
    opened = [
        await open_store(f"sqlite://{tmp_path_factory.mktemp('chains')}"),
        await open_store(servers.database(mongodb, f"chains_{uuid4().hex}")),
    ]
    yield opened
    for store in opened:
        await store.close()


class World:
    """Resources as one store has them, of all types, newest first."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.peers: list[Peer] = []
        self.versions: list[Version] = []

    def of(self, type: str) -> Iterator[Peer]:
        return (peer for peer in self.peers if peer.type == type)

    async def write(self, resources: dict[str, Resource]) -> None:
        writes = []
        for id, resource in resources.items():
            accepted = accept(orjson.dumps({**resource, "id": id}), resource["resourceType"])
            type, entries = resource["resourceType"], accepted.entries(SETTING)
            writes.append(Write("PUT", type, id, accepted.draft(id), 0, (), entries))
        self.versions = await self.store.commit(writes)
        for version, write in zip(self.versions, writes, strict=True):
            self.peers.insert(0, Peer(version.type, version.id, version.stamp, write.after))

    async def clear(self) -> None:
        entries: dict[tuple[str, str], tuple[Entry, ...]] = {(p.type, p.id): tuple(p.entries) for p in self.peers}
        await self.store.commit(
            [Write("DELETE", v.type, v.id, None, v.version, entries[v.type, v.id]) for v in self.versions]
        )

    def expected(self, query: Query) -> list[str]:
        return [
            peer.id
            for peer in self.of(query.type)
            if all(
                matches(test, peer.entries, id=peer.id, stamp=peer.stamp, type=peer.type, peers=self)
                for test in query.tests
            )
        ]

    async def found(self, query: Query, limit: int) -> list[str]:
        """Ids over all pages; the count has to agree."""
        select = query.select(limit)
        page = await self.store.select(select)
        ids = [version.id for version in page.versions]
        while page.next is not None:
            page = await self.store.select(Select(select.type, select.test, (), page.next, limit))
            ids += [version.id for version in page.versions]
        assert await self.store.count(select.type, select.test) == len(ids)
        return ids


@st.composite
def chained(draw: st.DrawFn, type: str, there: list[str], ids: list[str], depth: int = 3) -> tuple[str, str]:
    """One criterion on `type` that follows at most `depth` references."""
    steps = [(step, to) for of, step, to in STEPS if of == type]
    if not depth or draw(st.integers(0, 3)) == 0:
        if draw(st.integers(0, 4)) == 0:
            return "_id", draw(st.sampled_from([*ids, "nobody"]))
        return draw(criteria(type, there))
    step, to = draw(st.sampled_from(steps))
    name, value = draw(chained(to, there, ids, depth - 1))
    return step + name, value


def _placed(resource: Resource, example: int) -> Resource:
    """Its references to Patient/1 and Patient/2 as references to the first patients of this example."""
    raw = orjson.dumps(resource)
    for n in (1, 2):
        for end in (b'"', b"/"):
            raw = raw.replace(b"Patient/%d%b" % (n, end), b"Patient/%d-Patient-%d%b" % (example, n - 1, end))
    placed: Resource = orjson.loads(raw)
    return placed


async def check_agreement(stores: list[Store], data: st.DataObject) -> None:
    example = next(_examples)
    resources: dict[str, Resource] = {}
    for type in TYPES:
        for n, resource in enumerate(data.draw(st.lists(RESOURCES[type], min_size=1, max_size=4))):
            resources[f"{example}-{type}-{n}"] = _placed(resource, example)
    there = [text for resource in resources.values() for text in texts(resource)]
    worlds = [World(store) for store in stores]
    try:
        for world in worlds:
            await world.write(resources)
        for _ in range(SEARCHES):
            type = data.draw(st.sampled_from(TYPES))
            asked = data.draw(st.lists(chained(type, there, list(resources)), min_size=1, max_size=2))
            query, limit = parse(type, asked, SETTING), data.draw(st.integers(1, 5))
            for world in worlds:
                assert await world.found(query, limit) == world.expected(query), (world.store.name, type, asked)
    finally:
        for world in worlds:
            await world.clear()


@SHORT
@given(data=st.data())
async def test_all_evaluators_follow_references_alike(stores: list[Store], data: st.DataObject) -> None:
    await check_agreement(stores, data)


@pytest.mark.long
@LONG
@given(data=st.data())
async def test_all_evaluators_follow_references_alike_in_many_more(stores: list[Store], data: st.DataObject) -> None:
    await check_agreement(stores, data)
