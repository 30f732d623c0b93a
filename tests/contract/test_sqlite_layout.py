"""SQLite: what is kept of a parameter's parts, which statement a chain becomes, and which files are opened at all."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from server.errors import Invalid, TooCostly
from server.keys import All, Backlinked, Link, Linked, Not, Select, Term, Test
from server.keys import Any as Either
from server.store.sqlite import schema
from server.store.sqlite.drivers import FEW
from server.store.sqlite.owner import Owner
from server.store.sqlite.store import SqliteStore
from tests.contract.author import Author, link, term

MANY = FEW + 1


def opened(path: Path) -> SqliteStore:
    owner = Owner(path)
    return SqliteStore(path, owner, owner.words)


@pytest.mark.parametrize("version", [schema.VERSION - 1, schema.VERSION + 1])
def test_a_file_of_another_layout_is_refused_and_left_alone(tmp_path: Path, version: int) -> None:
    path = tmp_path / "tiercare.sqlite"
    db = sqlite3.connect(path)
    db.executescript(f"CREATE TABLE meta (name TEXT PRIMARY KEY, value); INSERT INTO meta VALUES ('schema', {version})")
    db.close()
    with pytest.raises(Invalid, match=f"layout {version} and this server needs {schema.VERSION}"):
        Owner(path)
    db = sqlite3.connect(path)
    assert [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")] == ["meta"]
    db.close()


async def test_a_file_is_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        await opened(tmp_path / "tiercare.sqlite").close()


FEW_P, MANY_P = Term("P.id", "7"), Term("P.sex", "m")
# a test -> what its statement has to go through, in this order, and what it must not touch
PLANS: list[tuple[Test, list[str], str]] = [
    (Linked("O.p", "P", FEW_P), ["a USING PRIMARY KEY (p=? AND k=?)", "a USING PRIMARY KEY (p=? AND k=?)"], "type=?"),
    (Linked("O.p", "P", Linked("P.o", "Org", Term("Org.n", "0"))), ["a USING PRIMARY KEY (p=? AND k=?)"] * 3, "type=?"),
    (
        Linked("O.p", "P", MANY_P),
        ["a USING PRIMARY KEY (type=?)", "b USING COVERING INDEX ref_rid (rid=? AND p=?)"],
        "SCAN a",
    ),
    (
        All((Term("O.code", "7"), Linked("O.p", "P", MANY_P))),
        ["a USING PRIMARY KEY (p=? AND k=?)", "b USING COVERING INDEX ref_rid (rid=? AND p=?)"],
        "SCAN a",
    ),
    (Either((Link("O.p", "P/1"), Link("O.p", "P/2"))), ["a USING PRIMARY KEY (p=? AND k=?)"], "type=?"),
    (Either((Term("O.all", "x"), Term("O.all", "y"))), ["a USING PRIMARY KEY (p=? AND k=?)"], "type=?"),
    (Not(Linked("O.p", "P", FEW_P)), ["a USING PRIMARY KEY (type=?)"], "SCAN a"),
]
BACK: list[tuple[Test, list[str], str]] = [
    (
        Backlinked("O", "O.p", Term("O.code", "7")),
        ["a USING PRIMARY KEY (p=? AND k=?)", "f USING COVERING INDEX ref_rid (rid=? AND p=?)"],
        "PRIMARY KEY (type=?)",
    ),
    (
        Backlinked("O", "O.p", Term("O.all", "x")),
        ["a USING PRIMARY KEY (type=?)", "b USING PRIMARY KEY (p=? AND k=?)"],
        "SCAN a",
    ),
]


async def test_the_few_drive_and_of_the_many_each_row_is_probed(tmp_path: Path) -> None:
    store = opened(tmp_path / "tiercare.sqlite")
    author = Author(store)
    await author.commit(
        *(author.write("Org", f"{n}", term("Org.n", f"{n}")) for n in range(3)),
        *(author.write("P", f"{n}", term("P.id", f"{n}"), term("P.sex", "m"), link("P.o", f"Org/{n % 3}"))
          for n in range(MANY)),
        *(author.write("O", f"{n}", term("O.code", f"{n}"), term("O.all", "x"), link("O.p", f"P/{n}"))
          for n in range(MANY)),
    )  # fmt: skip
    for type, plans in (("O", PLANS), ("P", BACK)):
        for test, through, never in plans:
            plan = _plan(store, Select(type, test))
            rest = iter(plan)
            assert all(any(wanted in line for line in rest) for wanted in through), (test, plan)
            assert not any(never in line for line in plan if line.startswith("SEARCH a") or never.startswith("SCAN")), (
                test,
                plan,
            )
    await store.close()


def _plan(store: SqliteStore, select: Select) -> list[Any]:
    def explain(reader: Any) -> list[Any]:
        sql = reader.translator.select(select)
        return [row[3] for row in reader.db.execute(f"EXPLAIN QUERY PLAN {sql.text}", sql.args)]

    return store._reader.run(explain, 10.0)


@pytest.mark.parametrize("key", ["7", "none"])
async def test_a_chain_of_many_steps_is_one_statement(tmp_path: Path, key: str) -> None:
    """Few or many at its end, forwards or backwards: what is not nested has no depth at which SQLite gives up."""
    store = opened(tmp_path / "tiercare.sqlite")
    author = Author(store)
    await author.commit(
        *(author.write("O", f"{n}", term("O.n", f"{n}"), term("O.all", "x"), link("O.l", f"O/{n + 1}"))
          for n in range(MANY)),
    )  # fmt: skip
    few: Test = Term("O.n", f"{MANY - 1}" if key == "7" else key)
    many: Test = Term("O.all", "x")
    back: Test = Term("O.n", "0")
    for _ in range(16):
        few, many, back = Linked("O.l", "O", few), Linked("O.l", "O", All((many, many))), Backlinked("O", "O.l", back)
    assert await author.ids("O", few) == ([f"{MANY - 17}"] if key == "7" else [])
    assert await author.ids("O", back) == ["16"]
    assert len(await author.ids("O", many)) == MANY - 16
    await store.close()


async def test_alternatives_within_alternatives_beyond_what_sqlite_reads_are_refused(tmp_path: Path) -> None:
    store = opened(tmp_path / "tiercare.sqlite")
    test: Test = Term("O.n", "1")
    for _ in range(40):
        test = Not(Linked("O.l", "O", Either((test, Link("O.l", "O/1")))))
    with pytest.raises(TooCostly, match="nests more"):
        await store.select(Select("O", test))
    await store.close()
