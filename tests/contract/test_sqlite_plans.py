"""SQLite: what leads a search. A search for one of several references must not look through the whole type."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any as AnyValue

import pytest

from server.keys import All, Any, Link, Select, Stamped, Term, Test
from server.store.sqlite.store import SqliteStore, open_sqlite
from tests.contract.author import Author, link, term


@pytest.fixture
async def planned(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """600 resources: more than the criteria below may find before they stop being few."""
    store = await open_sqlite(f"sqlite://{tmp_path}")
    author = Author(store)
    await author.commit(
        *(
            author.write(
                "T", f"{n}", link("T.l", "Patient/1"), link("T.m", f"Patient/{n % 2}"), term("T.p", f"{n % 2}")
            )
            for n in range(600)
        )
    )
    yield store
    await store.close()


def plan(store: SqliteStore, test: Test) -> list[str]:
    def work(reader: AnyValue) -> list[str]:
        sql = reader.translator.select(Select("T", test))
        return [row[3] for row in reader.db.execute(f"EXPLAIN QUERY PLAN {sql.text}", sql.args)]

    return store._reader.run(work, 10.0)


EITHER: list[Test] = [
    Any((Link("T.l", "Patient/1"), Link("T.m", "Patient/1"))),
    Any((Link("T.l", "Patient/1"), Link("T.m", "Patient/9"), Term("T.p", "1"))),
    All((Any((Term("T.p", "0"), Term("T.p", "1"))), Stamped(1))),
]


@pytest.mark.parametrize("test", EITHER)
async def test_alternatives_are_walked_in_order_and_merged(planned: SqliteStore, test: Test) -> None:
    steps = plan(planned, test)
    assert any(step.startswith("MERGE") for step in steps)
    assert not any("type=?" in step for step in steps), "the rows of the type are not looked through"
    assert sum("TEMP B-TREE" in step for step in steps) <= 1, "only the page is put in order"


@pytest.mark.parametrize("test", EITHER)
async def test_merged_pages_have_each_row_once(planned: SqliteStore, test: Test) -> None:
    seen: list[str] = []
    after = None
    while len(seen) <= 600:
        page = await planned.select(Select("T", test, after=after, limit=7))
        seen += [version.id for version in page.versions]
        if page.next is None:
            break
        after = page.next
    assert seen == [str(n) for n in range(599, -1, -1)]
    assert await planned.count("T", test) == 600


async def test_more_alternatives_than_can_lead_find_the_same(planned: SqliteStore) -> None:
    many = Any(tuple(Link("T.m", f"Patient/{n}") for n in range(1, 150)))
    page = await planned.select(Select("T", many, limit=1000))
    assert [version.id for version in page.versions] == [str(n) for n in range(599, -1, -2)]
