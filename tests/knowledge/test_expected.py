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
from server.keys import Entry, Select, Version, Write, instant
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

    async def fault(self, case: Case) -> str:
        """What is wrong with a row here; '' when it holds."""
        type, there, other = case.row.type, self.kept[case.row.type][case.there["id"]], case.other["id"]
        asked = instant(there.version.stamp) if case.row.code == "_lastUpdated" else case.asked
        test = parse(type, [(case.row.code, asked)], SETTING).select(1).test
        expected = {
            id
            for id, (version, entries) in self.kept[type].items()
            if matches(test, entries, id=id, stamp=version.stamp)
        }
        if there.version.id not in expected:
            return f"{asked} is not found in {orjson.dumps(case.there).decode()}"
        if other in expected:
            return f"{asked} is found in {orjson.dumps(case.other).decode()}"
        page = await self.store.select(Select(type, test, limit=1000))
        found = {version.id for version in page.versions}
        return "" if found == expected else f"{asked} finds {sorted(found)}, not {sorted(expected)}"


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


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
async def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Filled]:
    url = f"sqlite://{tmp_path_factory.mktemp('expected')}"
    if request.param == "mongodb":
        url = servers.database(request.getfixturevalue("mongodb"), f"expected_{uuid4().hex}")
    store = await open_store(url)
    one = Filled(store)
    await one.fill()
    yield one
    await store.close()


async def test_every_row_is_found_by_its_value_and_not_by_another(filled: Filled) -> None:
    faults = [f"{case.row.type}.{case.row.code} {case.row.datatype}: {await filled.fault(case)}" for case in ALL]
    wrong = [fault for fault in faults if not fault.endswith(": ")]
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
