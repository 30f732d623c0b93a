"""The expected list (expected_list.py) holds: every row is indexed and found in memory, on SQLite and on MongoDB, or
listed with its reason in docs/search-parameters.csv."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import NamedTuple
from uuid import uuid4
from zoneinfo import ZoneInfo

import orjson
import pytest

from server.interaction.accept import accept
from server.keys import All, Any, Entry, Select, Test, Version, Write, instant
from server.model import tables
from server.search.kinds.kind import Setting
from server.search.match import matches
from server.search.query import parse
from server.store.opening import open_store
from server.store.port import Store
from tests import servers
from tests.knowledge.expected_list import FILE, Case, Resource, cases, rows, text

SETTING = Setting(ZoneInfo("Asia/Shanghai"), servers.BASE, "content")
BATCH = 200  # resources a commit
ALL = [case for type in sorted(tables.resource_types()) for case in cases(type)]


class Kept(NamedTuple):
    """A resource as a store has it."""

    version: Version
    entries: tuple[Entry, ...]


class Filled:
    """A store with all resources of the list: those that are not to be found, and later those that are."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.kept: dict[str, dict[str, Kept]] = {}  # by type, by id

    async def fill(self) -> None:
        await self._write(_once([case.other for case in ALL]))
        await asyncio.sleep(0.005)  # their times differ
        await self._write(_once([case.there for case in ALL]))

    async def _write(self, resources: list[Resource]) -> None:
        for start in range(0, len(resources), BATCH):
            writes = [_write_of(resource) for resource in resources[start : start + BATCH]]
            for version, write in zip(await self.store.commit(writes), writes, strict=True):
                self.kept.setdefault(version.type, {})[version.id] = Kept(version, tuple(write.after))

    def test_of(self, case: Case) -> Test:
        asked = case.asked
        if case.row.code == "_lastUpdated":
            asked = instant(self.kept[case.row.type][case.there["id"]].version.stamp)
        return parse(case.row.type, [(case.row.code, asked)], SETTING).select(1).test

    def expected(self, type: str, test: Test) -> set[str]:
        """As the evaluator in memory finds them."""
        return {
            id
            for id, (version, entries) in self.kept[type].items()
            if matches(test, entries, id=id, stamp=version.stamp)
        }

    async def found(self, type: str, test: Test) -> set[str]:
        page = await self.store.select(Select(type, test, limit=1000))
        return {version.id for version in page.versions}

    async def fault(self, case: Case) -> str:
        """What is wrong with a row here; '' when it holds."""
        test = self.test_of(case)
        expected, found = self.expected(case.row.type, test), await self.found(case.row.type, test)
        if case.there["id"] not in expected:
            return f"{_named(case)} is not found in {orjson.dumps(case.there).decode()}"
        if case.other["id"] in expected:
            return f"{_named(case)} is found in {orjson.dumps(case.other).decode()}"
        return "" if found == expected else f"{_named(case)} finds {sorted(found)}, not {sorted(expected)}"

    async def faults(self, cases: list[Case]) -> list[str]:
        """The same of cases with the same two resources, in two searches: all of the criteria find the one, and not any
        of them finds the other, so each does. What is wrong is then told one by one."""
        type, tests = cases[0].row.type, tuple(self.test_of(case) for case in cases)
        there, other = cases[0].there["id"], cases[0].other["id"]
        every, some = await self.found(type, All(tests)), await self.found(type, Any(tests))
        agreed = every == self.expected(type, All(tests)) and some == self.expected(type, Any(tests))
        if agreed and there in every and other not in some:
            return []
        return [fault for case in cases if (fault := await self.fault(case))] or [f"{type}/{there}: only together"]


def _named(case: Case) -> str:
    return f"{case.row.type}?{case.row.code}={case.asked} ({case.row.datatype})"


def _once(resources: list[Resource]) -> list[Resource]:
    return list({(resource["resourceType"], resource["id"]): resource for resource in resources}.values())


def _write_of(resource: Resource) -> Write:
    accepted = accept(orjson.dumps(resource), resource["resourceType"])
    return Write(
        "PUT",
        resource["resourceType"],
        resource["id"],
        accepted.draft(resource["id"]),
        0,
        (),
        accepted.entries(SETTING),
    )


async def _filled(url: str) -> AsyncIterator[Filled]:
    store = await open_store(url)
    one = Filled(store)
    await one.fill()
    yield one
    await store.close()


@pytest.fixture(scope="module")
async def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Filled]:
    async for one in _filled(f"sqlite://{tmp_path_factory.mktemp('expected')}"):
        yield one


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
async def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Filled]:
    url = f"sqlite://{tmp_path_factory.mktemp('expected')}"
    if request.param == "mongodb":
        url = servers.database(request.getfixturevalue("mongodb"), f"expected_{uuid4().hex}")
    async for one in _filled(url):
        yield one


async def test_every_row_is_found_by_its_value_and_not_by_another(filled: Filled) -> None:
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in ALL:
        groups.setdefault((case.row.type, case.there["id"]), []).append(case)
    wrong = [fault for group in groups.values() for fault in await filled.faults(group)]
    assert not wrong, f"{len(wrong)} of {len(ALL)}:\n" + "\n".join(wrong[:40])


async def test_every_row_alone_finds_what_it_finds_in_memory(on_sqlite: Filled) -> None:
    wrong = [fault for case in ALL if (fault := await on_sqlite.fault(case))]
    assert not wrong, f"{len(wrong)} of {len(ALL)}:\n" + "\n".join(wrong[:40])


def test_every_row_has_a_case_or_a_reason() -> None:
    searched = {case.row for case in ALL}
    assert searched == {row for row in rows() if not row.reason}
    assert not [row for row in rows() if row.reason == "UNEXPLAINED"]


def test_every_parameter_of_the_definitions_is_in_the_list() -> None:
    listed = {(row.type, row.code) for row in rows()}
    assert listed == {(type, code) for type in tables.resource_types() for code in tables.search_parameters(type)}


def test_the_document_shows_the_list_as_it_is() -> None:
    states = Counter(row.state for row in rows())
    print(f"{len(rows())} rows, {len(ALL)} places: {dict(states)}")
    assert FILE.read_text(encoding="utf-8") == text(), "python -m tests.knowledge.expected_list writes it anew"
