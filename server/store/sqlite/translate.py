"""A Select -> SQL. SQLite's planner cannot see skew, so we choose: the most selective criterion drives, found by a
bounded count, and the rest are probes (docs/decisions/0002-sqlite-layout.md).

Everything is a condition on a row number. A probe is an EXISTS that ends in a full primary key, or, where that would
walk a range for each row, an IN over a list made once.
"""

import sqlite3
from dataclasses import dataclass
from typing import assert_never

from server.errors import Invalid
from server.keys import (
    LINK,
    SPAN,
    TERM,
    TEXT,
    All,
    Any,
    Cursor,
    Ids,
    Link,
    Not,
    Present,
    Select,
    Sort,
    Span,
    Stamped,
    Term,
    Test,
    Text,
)
from server.store.sqlite.words import Words, is_local

FEW = 200  # candidates up to which a criterion drives; counting so far costs about 20 microseconds
Args = list[int | str | None]
_TABLE = {TERM: "tok", TEXT: "str", LINK: "ref", SPAN: "span"}


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


class Translator:
    """Translates for one connection; unknown words make a criterion impossible, never an error."""

    def __init__(self, connection: sqlite3.Connection, words: Words) -> None:
        self._db, self._words = connection, words

    def _known(self, kind: str, text: str) -> int:
        """The number of a word, or one that no row has."""
        found = self._words.known(self._db, kind, text)
        return -1 if found is None else found

    def type_number(self, type: str) -> int:
        return self._known("type", type)

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
                    [self._known("param", test.param), self._target(test.target)],
                )
            case Span():
                where, args = self._span(test, "b")
                return Sql(f"EXISTS (SELECT 1 FROM span b INDEXED BY span_rid WHERE b.rid={rid} AND {where})", args)
            case Present(param, shape):
                p = self._known("param", param)
                if shape == LINK:
                    return Sql(f"+{rid} IN (SELECT rid FROM ref WHERE p=?)", [p])
                table = _TABLE[shape]
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
            case _:  # pragma: no cover
                assert_never(test)

    @staticmethod
    def _joined(parts: list[Sql], word: str, empty: str) -> Sql:
        if not parts:
            return Sql(empty, [])
        return Sql("(" + word.join(part.text for part in parts) + ")", [arg for part in parts for arg in part.args])

    def _term(self, test: Term, alias: str) -> tuple[str, Args]:
        where, args = f"{alias}.p=?", [self._known("param", test.param)]
        if test.key is not None:
            where += f" AND {alias}.k=?"
        full: Args = [*args, *([test.key] if test.key is not None else [])]
        if test.scope is not None:
            where += f" AND {alias}.sys=?"
            full.append(self._known("system", test.scope))
        return where, full

    def _text(self, test: Text, alias: str) -> tuple[str, Args]:
        p = self._known("param", test.param)
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

    def _span(self, test: Span, alias: str) -> tuple[str, Args]:
        column = {"low": f"{alias}.lo", "high": f"{alias}.hi"}
        args: Args = [self._known("param", test.param), self._known("unit", test.key)]
        either = []
        for bound in test.bounds:
            either.append("(" + (" AND ".join(f"{column[side]}{op}?" for side, op, _ in bound) or "1") + ")")
            args += [value for _, _, value in bound]
        low, high = _hull(test, self._width(test.param)[0])
        return f"{alias}.p=? AND {alias}.k=? AND {alias}.lo BETWEEN ? AND ? AND ({' OR '.join(either) or '0'})", [
            *args[:2],
            low,
            high,
            *args[2:],
        ]

    def _width(self, param: str) -> tuple[int, bool]:
        """(the widest span of a parameter, whether a resource may have several)."""
        row = self._db.execute("SELECT widest, several FROM width WHERE p=?", (self._known("param", param),)).fetchone()
        return (row[0], bool(row[1])) if row else (0, False)

    def _target(self, target: str) -> int | None:
        if not is_local(target):
            number = self._known("url", target)
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
                args = [self._known("param", test.param), self._target(test.target)]
                return Driver("ref", "a.p=? AND a.k=?", args, True)
            case Span():
                where, args = self._span(test, "a")
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
        tests = list(_conjuncts(test))
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

    # ------------------------------------------------------------------------------------- whole statements
    def candidates(self, select_type: str, test: Test) -> tuple[Sql, bool]:
        """`FROM … WHERE …` over candidate rows as column a.rid, and whether there are few of them."""
        type = self.type_number(select_type)
        driver, few, rest = self.choose(test, type)
        if driver is None:
            driver = Driver("live", "a.type=?", [type], True)
        probe = self.probe(rest, type, "a.rid")
        return Sql(f"FROM {driver.table} a WHERE {driver.where} AND {probe.text}", [*driver.args, *probe.args]), few

    def count(self, type: str, test: Test) -> Sql:
        source, _ = self.candidates(type, test)
        return Sql(f"SELECT count(DISTINCT a.rid) {source.text}", source.args)

    def select(self, select: Select) -> Sql:
        """Rows (id, ver, stamp, method, body, rid, sort values…), at most limit + 1 of them."""
        _check_cursor(select)
        if not select.sorts:
            return self._plain(select)
        if len(select.sorts) == 1 and select.sorts[0].param == "_lastUpdated":
            return self._by_stamp(select)
        if len(select.sorts) == 1 and select.sorts[0].shape == SPAN:
            walk = self._by_span(select)
            if walk is not None:
                return walk
        return self._sorted(select)

    def _plain(self, select: Select) -> Sql:
        source, _ = self.candidates(select.type, select.test)
        where, args = "", list(source.args)
        if select.after is not None:
            where = " AND a.rid<?"
            args.append(select.after[-1])
        return Sql(
            "SELECT r.id, r.ver, r.stamp, r.method, r.body, r.rid FROM ("
            f"SELECT DISTINCT a.rid {source.text}{where} ORDER BY a.rid DESC LIMIT ?"
            ") t CROSS JOIN res r ON r.rid=t.rid ORDER BY t.rid DESC",
            [*args, select.limit + 1],
        )

    def _by_stamp(self, select: Select) -> Sql:
        """Few candidates are sorted; many are met by walking the type in the order of its last updates."""
        type = self.type_number(select.type)
        driver, few, rest = self.choose(select.test, type)
        down = select.sorts[0].descending
        order, past = ("DESC", "<") if down else ("ASC", ">")
        columns = "SELECT r.id, r.ver, r.stamp, r.method, r.body, r.rid, r.stamp"
        if driver is not None and few:
            probe = self.probe(rest, type, "a.rid")
            inner = f"SELECT DISTINCT a.rid FROM {driver.table} a WHERE {driver.where} AND {probe.text}"
            args: Args = [*driver.args, *probe.args]
            where = f" WHERE r.stamp{past}?" if select.after else ""
            sql = f"{columns} FROM ({inner}) t CROSS JOIN res r ON r.rid=t.rid{where} ORDER BY r.stamp {order} LIMIT ?"
            return Sql(sql, [*args, *(select.after[:1] if select.after else ()), select.limit + 1])
        probe = self.probe(select.test, type, "a.rid")
        where = f" AND a.stamp{past}?" if select.after else ""
        inner = f"SELECT a.rid FROM late a WHERE a.type=?{where} AND {probe.text} ORDER BY a.stamp {order} LIMIT ?"
        return Sql(
            f"{columns} FROM ({inner}) t CROSS JOIN res r ON r.rid=t.rid ORDER BY r.stamp {order}",
            [type, *(select.after[:1] if select.after else ()), *probe.args, select.limit + 1],
        )

    def _by_span(self, select: Select) -> Sql | None:
        """Many candidates sorted by one date: the dates are walked in their order, the rest are probes.

        Criteria on the same date are then conditions on the row itself, which also bound the walk. None when few
        candidates make sorting them cheaper, or when a resource may have several dates.
        """
        sort, type = select.sorts[0], self.type_number(select.type)
        _, several = self._width(sort.param)
        if several or self.choose(select.test, type)[1]:
            return None
        tests = _conjuncts(select.test)
        own = [t for t in tests if isinstance(t, Span) and t.param == sort.param and not t.key]
        rest = self.probe(All(tuple(t for t in tests if t not in own)), type, "a.rid")
        where, args = "a.p=? AND a.k=0", Args((self._known("param", sort.param),))
        for test in own:
            part, part_args = self._span(test, "a")
            where, args = f"{where} AND {part}", [*args, *part_args]
        order, past = ("DESC", "<") if sort.descending else ("ASC", ">")
        value, place = select.after if select.after else (None, None)
        limit = select.limit + 1
        parts: list[Sql] = []
        if not select.after or value is not None:
            after = f" AND (a.lo{past}? OR (a.lo=? AND a.rid<?))" if select.after else ""
            after_args: Args = [value, value, place] if select.after else []
            parts.append(
                Sql(
                    f"SELECT a.rid AS rid, a.lo AS s0 FROM span a WHERE {where}{after} AND {rest.text}"
                    f" ORDER BY a.lo {order}, a.rid DESC LIMIT ?",
                    [*args, *after_args, *rest.args, limit],
                )
            )
        if not own:  # those without a date come last
            after = " AND a.rid<?" if select.after and value is None else ""
            parts.append(
                Sql(
                    "SELECT a.rid AS rid, NULL AS s0 FROM live a WHERE a.type=? AND NOT EXISTS"
                    " (SELECT 1 FROM span b INDEXED BY span_rid WHERE b.rid=a.rid AND b.p=?)"
                    f"{after} AND {rest.text} ORDER BY a.rid DESC LIMIT ?",
                    [type, args[0], *([place] if after else []), *rest.args, limit],
                )
            )
        union = " UNION ALL ".join(f"SELECT * FROM ({part.text})" for part in parts)
        return Sql(
            "SELECT r.id, r.ver, r.stamp, r.method, r.body, r.rid, t.s0"
            f" FROM (SELECT rid, s0 FROM ({union}) LIMIT ?) t CROSS JOIN res r ON r.rid=t.rid"
            f" ORDER BY t.s0 IS NULL, t.s0 {order}, r.rid DESC",
            [*(arg for part in parts for arg in part.args), limit],
        )

    def _sorted(self, select: Select) -> Sql:
        """All candidates with their sort values, sorted; the cost grows with the hits, not with the type."""
        source, _ = self.candidates(select.type, select.test)
        names = [f"s{i}" for i in range(len(select.sorts))]
        values = [self._sort_value(sort) for sort in select.sorts]
        columns = ", ".join(f"{value.text} AS {name}" for value, name in zip(values, names, strict=True))
        column_args = [arg for value in values for arg in value.args]
        keyset, keyset_args = _keyset(select.sorts, names, select.after)
        order = _order(names, select.sorts)
        inner = (
            f"SELECT t.rid AS rid, {columns} FROM (SELECT DISTINCT a.rid {source.text}) t"
            f" CROSS JOIN res r ON r.rid=t.rid"
        )
        page = f"SELECT rid, {', '.join(names)} FROM ({inner}) WHERE {keyset} ORDER BY {order}, rid DESC LIMIT ?"
        return Sql(
            f"SELECT r.id, r.ver, r.stamp, r.method, r.body, r.rid, {', '.join('t.' + n for n in names)}"
            f" FROM ({page}) t CROSS JOIN res r ON r.rid=t.rid"
            f" ORDER BY {_order([f't.{n}' for n in names], select.sorts)}, r.rid DESC",
            [*column_args, *source.args, *keyset_args, select.limit + 1],
        )

    def _sort_value(self, sort: Sort) -> Sql:
        """A scalar on r: the smallest or largest value of the resource, NULL when it has none."""
        if sort.param in _OWN:
            return Sql(_OWN[sort.param], [])
        if sort.shape not in _VALUE:
            raise Invalid(f"cannot sort by {sort.param}", "_sort")
        table, column = _TABLE[sort.shape], _VALUE[sort.shape]
        return Sql(
            f"(SELECT b.{column} FROM {table} b INDEXED BY {table}_rid"
            " WHERE b.rid=r.rid AND b.p=? AND b.rank IN (0, ?))",
            [self._known("param", sort.param), 2 if sort.descending else 1],
        )


_OWN = {"_lastUpdated": "r.stamp", "_id": "r.id"}
_VALUE = {TERM: "k", TEXT: "k", SPAN: "lo"}


def _order(names: list[str], sorts: tuple[Sort, ...]) -> str:
    return ", ".join(
        f"{name} IS NULL, {name} {'DESC' if sort.descending else 'ASC'}"
        for name, sort in zip(names, sorts, strict=True)
    )


def _check_cursor(select: Select) -> None:
    """Raises Invalid for a cursor that no page of these sorts can have ended with."""
    if select.after is None:
        return
    values, place = select.after[:-1], select.after[-1] if select.after else None
    fits = len(values) == len(select.sorts) and isinstance(place, int)
    for sort, value in zip(select.sorts, values, strict=False):
        kind = _CURSOR_TYPES.get(sort.param) or ((int if sort.shape == SPAN else str), type(None))
        fits = fits and isinstance(value, kind)
    if not fits:
        raise Invalid("the page link does not belong to this search", "_cursor")


_CURSOR_TYPES: dict[str, tuple[type, ...]] = {"_id": (str,), "_lastUpdated": (int,)}


def _past_prefix(prefix: str) -> str | None:
    """The smallest string after all that begin with `prefix` (code point order); None when there is none."""
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)  # surrogates are no characters


def _keyset(sorts: tuple[Sort, ...], names: list[str], after: Cursor | None) -> tuple[str, Args]:
    """Rows past the cursor, missing values last: equal on the first i keys and past it on the next, or all equal."""
    if after is None:
        return "1", []
    either: list[str] = []
    args: Args = []
    for i in range(len(names) + 1):
        if i < len(names) and after[i] is None:
            continue  # nothing comes after a missing value
        either_args: Args = list(after[:i])
        parts = [f"{name} IS ?" for name in names[:i]]
        if i < len(names):
            parts.append(f"({names[i]} {'<' if sorts[i].descending else '>'} ? OR {names[i]} IS NULL)")
        else:
            parts.append("rid < ?")
        either.append("(" + " AND ".join(parts) + ")")
        args += [*either_args, after[i]]
    return "(" + " OR ".join(either) + ")", args


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


def _conjuncts(test: Test) -> tuple[Test, ...]:
    if isinstance(test, All):
        return tuple(c for t in test.tests for c in _conjuncts(t))
    return (test,)
