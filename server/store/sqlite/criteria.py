"""Tests -> SQL conditions, and which of them leads. SQLite's planner cannot see skew, so we choose: the most selective
criterion drives, found by a bounded count, and the rest are probes (docs/decisions/0002-sqlite-layout.md).

Everything is a condition on a row number. A probe is an EXISTS that ends in a primary key or in the forward index of a
resource, so that it costs a look-up for each row.
"""

import sqlite3
from dataclasses import dataclass
from typing import assert_never

from server.keys import (
    LINK,
    SPAN,
    TERM,
    TEXT,
    All,
    Any,
    Backlinked,
    Begins,
    Ids,
    Link,
    Linked,
    Not,
    Present,
    Span,
    Stamped,
    Term,
    Test,
    Text,
    Together,
)
from server.store.sqlite.words import Words, is_local

FEW = 200  # candidates up to which a criterion drives; counting so far costs about 20 microseconds
Args = list[int | str | None]
TABLE = {TERM: "tok", TEXT: "str", LINK: "ref", SPAN: "span"}


@dataclass(slots=True)
class Sql:
    text: str
    args: Args


@dataclass(slots=True)
class Driver:
    """A criterion that can lead the query: `FROM table a WHERE …`, all rows of which are candidates."""

    table: str
    where: str
    args: Args
    in_order: bool  # its rows of one key come in rid order


class Criteria:
    """Criteria for one connection; unknown words make a criterion impossible, never an error."""

    def __init__(self, connection: sqlite3.Connection, words: Words) -> None:
        self._db, self._words = connection, words

    def known(self, kind: str, text: str) -> int:
        """The number of a word, or one that no row has."""
        found = self._words.known(self._db, kind, text)
        return -1 if found is None else found

    def type_number(self, type: str) -> int:
        return self.known("type", type)

    # ---------------------------------------------------------------------------------------------- probes
    def probe(self, test: Test, type: int, rid: str) -> Sql:
        """A condition on the row number `rid` (a column)."""
        match test:
            case All(tests):
                return self._joined([self.probe(t, type, rid) for t in tests], " AND ", "1")
            case Any(tests):
                return self._joined([self.probe(t, type, rid) for t in tests], " OR ", "0")
            case Not(inner):
                sql = self.probe(inner, type, rid)
                return Sql(f"NOT ({sql.text})", sql.args)
            case Ids(ids):
                marks = ",".join("?" * len(ids))
                return Sql(f"+{rid} IN (SELECT rid FROM res WHERE id IN ({marks}) AND type=?)", [*ids, type])
            case Stamped():
                where, args = _stamped(test, "b.stamp")
                return Sql(f"EXISTS (SELECT 1 FROM res b WHERE b.rid={rid}{where})", args)
            case Link():
                return Sql(
                    f"EXISTS (SELECT 1 FROM ref b WHERE b.p=? AND b.k=? AND b.rid={rid})",
                    [self.known("param", test.param), self._target(test.target)],
                )
            case Span():
                where, args = self.span_condition(test, "b")
                return Sql(f"EXISTS (SELECT 1 FROM span b INDEXED BY span_rid WHERE b.rid={rid} AND {where})", args)
            case Present(param, shape):
                p = self.known("param", param)
                if shape == LINK:
                    return Sql(f"+{rid} IN (SELECT rid FROM ref WHERE p=?)", [p])
                table = TABLE[shape]
                return Sql(f"EXISTS (SELECT 1 FROM {table} b INDEXED BY {table}_rid WHERE b.rid={rid} AND b.p=?)", [p])
            case Term(_, key, _) if key is not None:
                where, args = self._term(test, "b")
                return Sql(f"EXISTS (SELECT 1 FROM tok b WHERE {where} AND b.rid={rid})", args)
            case Term():
                where, args = self._term(test, "b")
                return Sql(f"EXISTS (SELECT 1 FROM tok b INDEXED BY tok_rid WHERE {where} AND b.rid={rid})", args)
            case Text():
                where, args = self._text(test, "b")
                return Sql(f"EXISTS (SELECT 1 FROM str b INDEXED BY str_rid WHERE {where} AND b.rid={rid})", args)
            case Begins() | Together():
                raise NotImplementedError
            case Linked() | Backlinked():
                raise NotImplementedError
            case _:  # pragma: no cover
                assert_never(test)

    @staticmethod
    def _joined(parts: list[Sql], word: str, empty: str) -> Sql:
        if not parts:
            return Sql(empty, [])
        return Sql("(" + word.join(part.text for part in parts) + ")", [arg for part in parts for arg in part.args])

    def _term(self, test: Term, alias: str) -> tuple[str, Args]:
        where, args = f"{alias}.p=?", [self.known("param", test.param)]
        if test.key is not None:
            where += f" AND {alias}.k=?"
        full: Args = [*args, *([test.key] if test.key is not None else [])]
        if test.scope is not None:
            where += f" AND {alias}.sys=?"
            full.append(self.known("system", test.scope))
        return where, full

    def _text(self, test: Text, alias: str) -> tuple[str, Args]:
        p = self.known("param", test.param)
        if test.how == "prefix":
            past = _past_prefix(test.value)
            if past is None:
                return f"{alias}.p=? AND {alias}.k>=?", [p, test.value]
            return f"{alias}.p=? AND {alias}.k>=? AND {alias}.k<?", [p, test.value, past]
        if test.how == "contains":
            return f"{alias}.p=? AND instr({alias}.k, ?)>0", [p, test.value]
        # the text as written is kept only where it differs from the normalised key
        return (
            f"{alias}.p=? AND {alias}.k=? AND (CASE {alias}.raw WHEN '' THEN {alias}.k ELSE {alias}.raw END)=?",
            [p, test.normal, test.value],
        )

    def span_condition(self, test: Span, alias: str) -> tuple[str, Args]:
        column = {"low": f"{alias}.lo", "high": f"{alias}.hi"}
        args: Args = [self.known("param", test.param), self.known("unit", test.key)]
        either = []
        for bound in test.bounds:
            either.append("(" + (" AND ".join(f"{column[side]}{op}?" for side, op, _ in bound) or "1") + ")")
            args += [value for _, _, value in bound]
        low, high = _hull(test, self.width(test.param)[0])
        return f"{alias}.p=? AND {alias}.k=? AND {alias}.lo BETWEEN ? AND ? AND ({' OR '.join(either) or '0'})", [
            *args[:2],
            low,
            high,
            *args[2:],
        ]

    def width(self, param: str) -> tuple[int, bool]:
        """(the widest span of a parameter, whether a resource may have several)."""
        row = self._db.execute("SELECT widest, several FROM width WHERE p=?", (self.known("param", param),)).fetchone()
        return (row[0], bool(row[1])) if row else (0, False)

    def _target(self, target: str) -> int | None:
        if not is_local(target):
            number = self.known("url", target)
            return None if number < 0 else -number
        type, id = target.split("/")
        row = self._db.execute("SELECT rid FROM res WHERE id=? AND type=?", (id, self.type_number(type))).fetchone()
        return row[0] if row else None

    # --------------------------------------------------------------------------------------------- drivers
    def driver(self, test: Test, type: int) -> Driver | None:
        """How a criterion would lead; None if it can only probe."""
        match test:
            case Term(_, key, _):
                where, args = self._term(test, "a")
                return Driver("tok", where, args, key is not None)
            case Text():
                where, args = self._text(test, "a")
                return Driver("str", where, args, False)
            case Link():
                args = [self.known("param", test.param), self._target(test.target)]
                return Driver("ref", "a.p=? AND a.k=?", args, True)
            case Span():
                where, args = self.span_condition(test, "a")
                return Driver("span", where, args, False)
            case Ids(ids):
                marks = ",".join("?" * len(ids))
                return Driver("res", f"a.id IN ({marks}) AND a.type=? AND a.body IS NOT NULL", [*ids, type], False)
            case Stamped():
                where, args = _stamped(test, "a.stamp")
                return Driver("late", f"a.type=?{where}", [type, *args], False)
            case _:
                return None

    def choose(self, test: Test, type: int) -> tuple[Driver | None, bool, Test]:
        """(driver, whether it has few rows, the tests that are left as probes)."""
        tests = list(conjuncts(test))
        drivers = [(self.driver(t, type), i) for i, t in enumerate(tests)]
        possible = [(d, i) for d, i in drivers if d is not None]
        best: tuple[int, Driver, int] | None = None
        for driver, i in possible:
            limit = FEW + 1 if best is None else best[0]
            n = self._db.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM {driver.table} a WHERE {driver.where} LIMIT ?)",
                [*driver.args, limit],
            ).fetchone()[0]
            if n <= FEW and (best is None or n < best[0]):
                best = (n, driver, i)
            if best and best[0] <= 1:
                break
        if best:
            return best[1], True, All(tuple(t for j, t in enumerate(tests) if j != best[2]))
        for driver, i in possible:
            if driver.in_order:
                return driver, False, All(tuple(t for j, t in enumerate(tests) if j != i))
        return None, False, test


def _past_prefix(prefix: str) -> str | None:
    """The smallest string after all that begin with `prefix` (code point order); None when there is none."""
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)  # surrogates are no characters


_FIRST, _LAST = -(2**63), 2**63 - 1


def _hull(test: Span, widest: int) -> tuple[int, int]:
    """Bounds on `lo` that every row passing the test meets: what the index can narrow by.

    A bound on the high end bounds the low end too, by the widest span there is, unless that is past counting.
    """
    lows, highs = [], []
    for bound in test.bounds:
        low, high = _FIRST, _LAST
        for side, op, value in bound:
            if op in (">", ">="):
                low = max(low, value if side == "low" else (value - widest if widest < _LAST else _FIRST))
            else:
                high = min(high, value)
        lows.append(low)
        highs.append(high)
    return min(lows, default=0), max(highs, default=-1)


def _stamped(test: Stamped, column: str) -> tuple[str, Args]:
    where, args = "", []
    if test.low is not None:
        where += f" AND {column}>=?"
        args.append(test.low)
    if test.high is not None:
        where += f" AND {column}<?"
        args.append(test.high)
    return where, list(args)


def conjuncts(test: Test) -> tuple[Test, ...]:
    if isinstance(test, All):
        return tuple(c for t in test.tests for c in conjuncts(t))
    return (test,)
