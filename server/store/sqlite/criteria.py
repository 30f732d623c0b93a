"""Tests -> SQL conditions on a row number. Which test leads a query is chosen in drivers.py.

A probe is an EXISTS that ends in a primary key or in the forward index of a resource, so that it costs a look-up for
each row. Chains are probes within probes: the alias of a probe is one letter further than that of its row number.
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
    Word,
)
from server.store.sqlite.words import Words, is_local

Args = list[int | str | None]
Leaf = Term | Begins | Text | Link | Span
TABLE = {TERM: "tok", TEXT: "str", LINK: "ref", SPAN: "span"}


@dataclass(slots=True)
class Sql:
    text: str
    args: Args


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
        """A condition on the row number `rid` (a column) of a resource of `type`."""
        b = _next(rid)
        match test:
            case All(tests):
                return joined([self.probe(t, type, rid) for t in tests], " AND ", "1")
            case Any(tests):
                return joined([self.probe(t, type, rid) for t in tests], " OR ", "0")
            case Not(inner):
                sql = self.probe(inner, type, rid)
                return Sql(f"NOT ({sql.text})", sql.args)
            case Ids(ids):
                marks = ",".join("?" * len(ids))
                return Sql(f"+{rid} IN (SELECT rid FROM res WHERE id IN ({marks}) AND type=?)", [*ids, type])
            case Stamped():
                where, args = stamped(test, f"{b}.stamp")
                return Sql(f"EXISTS (SELECT 1 FROM res {b} WHERE {b}.rid={rid}{where})", args)
            case Present(param, shape):
                table = TABLE[shape]
                return Sql(
                    f"EXISTS (SELECT 1 FROM {table} {b} INDEXED BY {table}_rid WHERE {b}.rid={rid} AND {b}.p=?)",
                    [self.known("param", param)],
                )
            case Term() | Begins() | Text() | Link() | Span():
                return self._exists(test, b, f"{b}.rid={rid}")
            case Word():
                where, args = self.word(test, b)
                if test.begins:  # a run of many words: gathered once, not walked for each row
                    return Sql(f"+{rid} IN (SELECT {b}.rid FROM gram {b} WHERE {where})", args)
                return Sql(f"EXISTS (SELECT 1 FROM gram {b} WHERE {where} AND {b}.rid={rid})", args)
            case Together(tests):
                return self._together(tests, rid)
            case Linked() | Backlinked():
                return self._far(test, rid)
            case _:  # pragma: no cover
                assert_never(test)

    def _far(self, test: Linked | Backlinked, rid: str) -> Sql:
        """Links one after the other are tables of one EXISTS: SQLite reads no statement that nests deeply."""
        tables: list[str] = []
        parts: list[Sql] = []
        onward: Linked | Backlinked | None = test
        while onward is not None:
            b, p, type = _next(rid), self.known("param", onward.param), self.type_number(onward.type)
            if isinstance(onward, Linked):
                tables.append(f"ref {b} INDEXED BY ref_rid")
                parts.append(Sql(f"{b}.rid={rid} AND {b}.p=?", [p]))
                parts.append(Sql(f"EXISTS (SELECT 1 FROM live WHERE live.type=? AND live.rid={b}.k)", [type]))
                rid = f"{b}.k"
            else:
                tables.append(f"ref {b}")
                parts.append(Sql(f"{b}.p=? AND {b}.k={rid}", [p]))
                rid = f"{b}.rid"
            rest = conjuncts(onward.test)
            onward = next((one for one in rest if isinstance(one, Linked | Backlinked)), None)
            parts += [self.probe(one, type, rid) for one in rest if one is not onward]
        where = joined(parts, " AND ", "1")
        return Sql(f"EXISTS (SELECT 1 FROM {' CROSS JOIN '.join(tables)} WHERE {where.text})", where.args)

    def _exists(self, test: Leaf, b: str, same: str) -> Sql:
        """An entry that passes and that `same` ties to a row: by primary key, or forwards where keys are a range."""
        table, where, args = self.rows(test, b)
        exact = isinstance(test, Link) or (isinstance(test, Term) and test.key is not None)
        by = "" if exact else f" INDEXED BY {table}_rid"
        return Sql(f"EXISTS (SELECT 1 FROM {table} {b}{by} WHERE {where} AND {same})", args)

    def _together(self, tests: tuple[Test, ...], rid: str) -> Sql:
        """One entry leads, the others are tied to its occurrence; alternatives are told apart first."""
        b = _next(rid)
        for i, test in enumerate(tests):
            if isinstance(test, Leaf):
                table, where, args = self.rows(test, b)
                rest = self.occurrence((*tests[:i], *tests[i + 1 :]), b)
                return Sql(
                    f"EXISTS (SELECT 1 FROM {table} {b} WHERE {where} AND {b}.rid={rid} AND {rest.text})",
                    [*args, *rest.args],
                )
        first, rest_of = tests[0], tests[1:]
        either = first.tests if isinstance(first, Any) else ()
        return joined([self._together((one, *rest_of), rid) for one in either], " OR ", "0")

    def occurrence(self, tests: tuple[Test, ...], row: str) -> Sql:
        """All tests hold in the occurrence that the entry `row` (an alias) belongs to."""
        b = _next(row)
        parts: list[Sql] = []
        for test in tests:
            if isinstance(test, Leaf):
                parts.append(self._exists(test, b, f"{b}.rid={row}.rid AND {b}.rank={row}.rank"))
            else:
                either = test.tests if isinstance(test, Any) else ()
                parts.append(joined([self.occurrence((one,), row) for one in either], " OR ", "0"))
        return joined(parts, " AND ", "1")

    # ------------------------------------------------------------------------------------------------ rows
    def rows(self, test: Leaf, alias: str) -> tuple[str, str, Args]:
        """(table, condition on its rows, arguments) of a test on single entries."""
        p = self.known("param", test.param)
        match test:
            case Term():
                return "tok", *self._term(test, alias)
            case Begins(_, prefix):
                return "tok", *_range(p, prefix, alias)
            case Text():
                return "str", *self._text(test, alias)
            case Link(_, target):
                return "ref", f"{alias}.p=? AND {alias}.k=?", [p, self.target(target)]
            case Span():
                return "span", *self.span_condition(test, alias)
            case _:  # pragma: no cover
                assert_never(test)

    def word(self, test: Word, alias: str) -> tuple[str, Args]:
        """The condition on rows of `gram`."""
        p = self.known("param", test.param)
        return _range(p, test.key, alias) if test.begins else (f"{alias}.p=? AND {alias}.k=?", [p, test.key])

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
            return _range(p, test.value, alias)
        if test.how == "equal":
            return f"{alias}.p=? AND {alias}.k=?", [p, test.value]
        if test.how == "contains":
            return f"{alias}.p=? AND instr({alias}.k, ?)>0", [p, test.value]
        if test.how == "suffix":
            return f"{alias}.p=? AND substr({alias}.k, 1 + max(0, length({alias}.k) - ?))=?", [
                p,
                len(test.value),
                test.value,
            ]
        # the text as written is kept only where it differs from the normalised key
        return (
            f"{alias}.p=? AND {alias}.k=? AND (CASE {alias}.raw WHEN '' THEN {alias}.k ELSE {alias}.raw END)=?",
            [p, test.normal, test.value],
        )

    def span_condition(self, test: Span, alias: str, *others: Span) -> tuple[str, Args]:
        """That one row passes a test, and the others of the same parameter and key: one range of the index for all,
        since SQLite would walk the range of any one of them."""
        column = {"low": f"{alias}.lo", "high": f"{alias}.hi"}
        widest = self.width(test.param)[0]
        parts, values, lows, highs = [], Args(), [], []
        for one in (test, *others):
            either = []
            for bound in one.bounds:
                either.append("(" + (" AND ".join(f"{column[side]}{op}?" for side, op, _ in bound) or "1") + ")")
                values += [value for _, _, value in bound]
            parts.append(f"({' OR '.join(either) or '0'})")
            low, high = _hull(one, widest)
            lows.append(low)
            highs.append(high)
        return f"{alias}.p=? AND {alias}.k=? AND {alias}.lo BETWEEN ? AND ? AND {' AND '.join(parts)}", [
            self.known("param", test.param),
            self.known("unit", test.key),
            max(lows),
            min(highs),
            *values,
        ]

    def width(self, param: str) -> tuple[int, bool]:
        """(the widest span of a parameter, whether a resource may have several)."""
        row = self._db.execute("SELECT widest, several FROM width WHERE p=?", (self.known("param", param),)).fetchone()
        return (row[0], bool(row[1])) if row else (0, False)

    def target(self, target: str) -> int | None:
        if not is_local(target):
            number = self.known("url", target)
            return None if number < 0 else -number
        type, id = target.split("/")
        row = self._db.execute("SELECT rid FROM res WHERE id=? AND type=?", (id, self.type_number(type))).fetchone()
        return row[0] if row else None


def joined(parts: list[Sql], word: str, empty: str) -> Sql:
    if not parts:
        return Sql(empty, [])
    return Sql("(" + word.join(part.text for part in parts) + ")", [arg for part in parts for arg in part.args])


def conjuncts(test: Test) -> tuple[Test, ...]:
    if isinstance(test, All):
        return tuple(c for t in test.tests for c in conjuncts(t))
    return (test,)


def _next(column: str) -> str:
    """The alias of a probe on `column`: a.rid -> b, b.k -> c."""
    return chr(ord(column[0]) + 1)


def _range(p: int, prefix: str, alias: str) -> tuple[str, Args]:
    past = _past_prefix(prefix)
    if past is None:
        return f"{alias}.p=? AND {alias}.k>=?", [p, prefix]
    return f"{alias}.p=? AND {alias}.k>=? AND {alias}.k<?", [p, prefix, past]


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


def stamped(test: Stamped, column: str) -> tuple[str, Args]:
    where, args = "", []
    if test.low is not None:
        where += f" AND {column}>=?"
        args.append(test.low)
    if test.high is not None:
        where += f" AND {column}<?"
        args.append(test.high)
    return where, list(args)
