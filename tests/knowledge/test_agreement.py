"""The evaluators of a search agree: in memory (search/match.py), SQLite and MongoDB find the same, in the same order,
for random resources and random searches that go through the real index extraction and the real query parser."""

import itertools
from collections.abc import AsyncIterator
from functools import partial
from uuid import uuid4
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.interaction.accept import Accepted, accept
from server.keys import Entry, Select, Sort, Version, Write
from server.search.kinds.kind import Setting
from server.search.match import matches, sort_value
from server.search.query import Query, parse
from server.store.opening import open_store
from server.store.port import Store
from tests import servers
from tests.knowledge.search_cases import RESOURCES, Resource, criteria, sort_keys, texts

SETTING = Setting(ZoneInfo("Asia/Shanghai"), servers.BASE, "content")
SEARCHES = 24  # searches an example: writing resources is the expensive part
_examples = itertools.count()
_health = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
SHORT = settings(max_examples=45, deadline=None, suppress_health_check=_health)
LONG = settings(max_examples=400, deadline=None, suppress_health_check=_health)


@pytest.fixture(scope="module")
async def stores(tmp_path_factory: pytest.TempPathFactory, mongodb: str) -> AsyncIterator[list[Store]]:
    opened = [
        await open_store(f"sqlite://{tmp_path_factory.mktemp('agree')}"),
        await open_store(servers.database(mongodb, f"agree_{uuid4().hex}")),
    ]
    yield opened
    for store in opened:
        await store.close()


class Stored:
    """Resources as one store has them: entries of each id, and its current version."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.entries: dict[str, tuple[Entry, ...]] = {}
        self.versions: dict[str, Version] = {}
        self.created: list[str] = []

    async def write(self, resources: dict[str, Accepted]) -> None:
        writes = [
            Write(
                "PUT",
                accepted.resource["resourceType"],
                id,
                accepted.draft(id),
                self.versions[id].version if id in self.versions else 0,
                self.entries.get(id, ()),
                accepted.entries(SETTING),
            )
            for id, accepted in resources.items()
        ]
        for version, write in zip(await self.store.commit(writes), writes, strict=True):
            if version.id not in self.versions:
                self.created.insert(0, version.id)  # newest first
            self.versions[version.id], self.entries[version.id] = version, tuple(write.after)

    async def clear(self) -> None:
        await self.store.commit(
            [
                Write("DELETE", version.type, version.id, None, version.version, self.entries[version.id])
                for version in self.versions.values()
            ]
        )

    def expected(self, query: Query) -> list[str]:
        """Ids as the evaluator in memory finds them, ordered as keys.py says."""
        found = [
            id
            for id in self.created
            if all(matches(test, self.entries[id], id=id, stamp=self.versions[id].stamp) for test in query.tests)
        ]
        for sort in query.sorts[::-1]:  # sorting is stable: the last key first
            with_value = [id for id in found if self._value(sort, id) is not None]
            with_value.sort(key=partial(self._value, sort), reverse=sort.descending)
            found = with_value + [id for id in found if self._value(sort, id) is None]
        return found

    def _value(self, sort: Sort, id: str) -> str | int | None:
        if sort.param == "_id":
            return id
        return self.versions[id].stamp if sort.param == "_lastUpdated" else sort_value(sort, self.entries[id])

    async def found(self, query: Query, limit: int) -> list[str]:
        """Ids as the store finds them, over all pages; the count has to agree."""
        select = query.select(limit)
        page = await self.store.select(select)
        ids = [version.id for version in page.versions]
        while page.next is not None:
            page = await self.store.select(Select(select.type, select.test, select.sorts, page.next, limit))
            ids += [version.id for version in page.versions]
        assert await self.store.count(select.type, select.test) == len(ids)
        return ids


def accepted(resource: Resource, id: str) -> Accepted:
    """Through the server's own door: what is generated has to be valid."""
    return accept(orjson.dumps({**resource, "id": id}), resource["resourceType"])


async def check_agreement(stores: list[Store], data: st.DataObject) -> None:
    type = data.draw(st.sampled_from(sorted(RESOURCES)))
    first = data.draw(st.lists(RESOURCES[type], min_size=1, max_size=8))
    second = data.draw(st.lists(RESOURCES[type], max_size=2))
    example = next(_examples)
    there = [text for resource in (*first, *second) for text in texts(resource)]
    held = [Stored(store) for store in stores]
    try:
        for one in held:
            await one.write({f"{example}-{n}": accepted(r, f"{example}-{n}") for n, r in enumerate(first)})
            await one.write(
                {f"{example}-{n}": accepted(r, f"{example}-{n}") for n, r in enumerate(second[: len(first)])}
            )
        for _ in range(SEARCHES):
            asked = data.draw(st.lists(criteria(type, there), max_size=3))
            if data.draw(st.booleans()):
                asked.append(("_sort", data.draw(sort_keys(type))))
            query, limit = parse(type, asked, SETTING), data.draw(st.integers(1, 9))
            for one in held:
                assert await one.found(query, limit) == one.expected(query), (one.store.name, asked)
    finally:
        for one in held:
            await one.clear()


@SHORT
@given(data=st.data())
async def test_all_evaluators_find_the_same_in_the_same_order(stores: list[Store], data: st.DataObject) -> None:
    await check_agreement(stores, data)


@pytest.mark.long
@LONG
@given(data=st.data())
async def test_all_evaluators_agree_on_many_more(stores: list[Store], data: st.DataObject) -> None:
    await check_agreement(stores, data)
