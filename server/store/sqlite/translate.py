"""A Select -> one SQL statement: inner rows first, bodies last, at most a page and one row more, which tells whether
there is a next page without a count."""

import sqlite3

from server.errors import Invalid
from server.keys import SPAN, TERM, TEXT, All, Cursor, Select, Sort, Span, Test
from server.store.sqlite.criteria import TABLE, Args, Sql, conjuncts
from server.store.sqlite.drivers import FEW, Driver, Drivers
from server.store.sqlite.words import Words


class Translator:
    """Statements for one connection."""

    def __init__(self, connection: sqlite3.Connection, words: Words) -> None:
        self._drivers = Drivers(connection, words)
        self._criteria = self._drivers.criteria

    def type_number(self, type: str) -> int:
        return self._criteria.type_number(type)

    def candidates(self, select_type: str, test: Test) -> Sql:
        """`FROM … WHERE …` over candidate rows as column a.rid."""
        type = self._criteria.type_number(select_type)
        choice = self._drivers.choose(test, type)
        driver = choice.driver or Driver("live a", "a.type=?", [type], True)
        probe = self._criteria.probe(choice.rest, type, "a.rid")
        return Sql(f"FROM {driver.source} WHERE {driver.where} AND {probe.text}", [*driver.args, *probe.args])

    def count(self, type: str, test: Test) -> Sql:
        self._drivers.forget()
        source = self.candidates(type, test)
        return self._drivers.whole(Sql(f"SELECT count(DISTINCT a.rid) {source.text}", source.args))

    def lead(self, select: Select) -> tuple[Test | None, int | None]:
        """What leads the select and how many rows it has, counted up to FEW + 1; None: the type is walked."""
        choice = self._drivers.choose(select.test, self.type_number(select.type))
        if choice.driver is None:
            return None, None
        left = conjuncts(choice.rest)
        leading = tuple(test for test in conjuncts(select.test) if test not in left)
        return (leading[0] if len(leading) == 1 else All(leading)), self._drivers.count(choice.driver, FEW + 1)

    def select(self, select: Select) -> Sql:
        """Rows (id, ver, stamp, method, body, rid, sort values…), at most limit + 1 of them."""
        _check_cursor(select)
        self._drivers.forget()
        return self._drivers.whole(self._statement(select))

    def _statement(self, select: Select) -> Sql:
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
        """The alternatives of an Any are each walked in rid order and merged by UNION, so that a page reads no more
        of them than it shows."""
        type = self._criteria.type_number(select.type)
        choice = self._drivers.choose(select.test, type)
        driver = choice.driver or Driver("live a", "a.type=?", [type], True)
        leads = driver.either or (driver,)
        probe = self._criteria.probe(choice.rest, type, "a.rid")
        after, after_args = (" AND a.rid<?", [select.after[-1]]) if select.after is not None else ("", [])
        parts = [f"SELECT DISTINCT a.rid AS rid FROM {d.source} WHERE {d.where} AND {probe.text}{after}" for d in leads]
        args = [arg for d in leads for arg in (*d.args, *probe.args, *after_args)]
        return Sql(
            "SELECT r.id, r.ver, r.stamp, r.method, r.body, r.rid FROM ("
            f"{' UNION '.join(parts)} ORDER BY rid DESC LIMIT ?"
            ") t CROSS JOIN res r ON r.rid=t.rid ORDER BY t.rid DESC",
            [*args, select.limit + 1],
        )

    def _by_stamp(self, select: Select) -> Sql:
        """Few candidates are sorted; many are met by walking the type in the order of its last updates."""
        type = self._criteria.type_number(select.type)
        choice = self._drivers.choose(select.test, type)
        down = select.sorts[0].descending
        order, past = ("DESC", "<") if down else ("ASC", ">")
        columns = "SELECT r.id, r.ver, r.stamp, r.method, r.body, r.rid, r.stamp"
        if choice.few:
            source = self.candidates(select.type, select.test)
            inner = f"SELECT DISTINCT a.rid {source.text}"
            args: Args = list(source.args)
            where = f" WHERE r.stamp{past}?" if select.after else ""
            sql = f"{columns} FROM ({inner}) t CROSS JOIN res r ON r.rid=t.rid{where} ORDER BY r.stamp {order} LIMIT ?"
            return Sql(sql, [*args, *(select.after[:1] if select.after else ()), select.limit + 1])
        probe = self._criteria.probe(select.test, type, "a.rid")
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
        _, several = self._criteria.width(sort.param)
        if several or self._drivers.choose(select.test, type).few:
            return None
        tests = conjuncts(select.test)
        own = [t for t in tests if isinstance(t, Span) and t.param == sort.param and not t.key]
        rest = self._criteria.probe(All(tuple(t for t in tests if t not in own)), type, "a.rid")
        p = self._criteria.known("param", sort.param)
        where, args = self._criteria.span_condition(own[0], "a", *own[1:]) if own else ("a.p=? AND a.k=0", Args((p,)))
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
                    [type, p, *([place] if after else []), *rest.args, limit],
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
        source = self.candidates(select.type, select.test)
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
        table, column = TABLE[sort.shape], _VALUE[sort.shape]
        return Sql(
            f"(SELECT b.{column} FROM {table} b INDEXED BY {table}_rid"
            " WHERE b.rid=r.rid AND b.p=? AND b.rank IN (0, ?))",
            [self._criteria.known("param", sort.param), 2 if sort.descending else 1],
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
