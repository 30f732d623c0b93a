"""Which test leads a query. SQLite's planner cannot see skew, so we choose: the most selective test drives, found by a
bounded count, and the rest are probes (docs/decisions/0002-sqlite-layout.md).

A chain drives too: few targets are walked to the resources that refer to them, and of a `_has` few sources to what
they refer to. With many of either the type is walked and each row probed.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from server.keys import All, Any, Backlinked, Begins, Ids, Link, Linked, Span, Stamped, Term, Test, Text, Together, Word
from server.store.sqlite.criteria import Args, Criteria, Leaf, Sql, conjuncts, joined, stamped
from server.store.sqlite.words import Words

ALTERNATIVES = 100  # of an Any up to which it can drive; SQLite joins at most 500 statements
FEW = 200  # candidates up to which a criterion drives; counting so far costs about 20 microseconds


@dataclass(frozen=True, slots=True)
class Driver:
    """A criterion that can lead the query: `FROM source WHERE …`, all rows of which are candidates, as a.rid."""

    source: str
    where: str
    args: Args
    in_order: bool = False  # each of its keys is a run of rows in rid order: a page of many is read off their ends
    either: "tuple[Driver, ...]" = ()  # of an Any: drivers whose rows these are together, each in rid order


@dataclass(frozen=True, slots=True)
class Choice:
    """driver None: walk the type. few: it has at most FEW rows. rest: what is left to probe."""

    driver: Driver | None
    few: bool
    rest: Test


class Drivers:
    """Choices for one connection; `forget` before each statement, as they depend on what is stored."""

    def __init__(self, connection: sqlite3.Connection, words: Words) -> None:
        self._db = connection
        self.criteria = Criteria(connection, words)
        self._choices: dict[tuple[Test, int], Choice] = {}
        self._named: list[Sql] = []

    def forget(self) -> None:
        self._choices.clear()
        self._named.clear()

    def whole(self, sql: Sql) -> Sql:
        """The statement with what its drivers named before it: side by side, as SQLite reads no deep nesting."""
        if not self._named:
            return sql
        names = ", ".join(f"w{n}(rid) AS ({one.text})" for n, one in enumerate(self._named))
        return Sql(f"WITH {names} {sql.text}", [*(arg for one in self._named for arg in one.args), *sql.args])

    def choose(self, test: Test, type: int) -> Choice:
        found = self._choices.get((test, type))
        if found is None:
            found = self._choices[test, type] = self._choose(conjuncts(test), type)
        return found

    def _choose(self, tests: tuple[Test, ...], type: int) -> Choice:
        possible = [(driver, i) for i, test in enumerate(tests) for driver in self._drivers(test, type)]
        best: tuple[int, Driver, int] | None = None
        for driver, i in possible:
            n = self.count(driver, FEW + 1 if best is None else best[0])
            if n <= FEW and (best is None or n < best[0]):
                best = (n, driver, i)
            if best and best[0] <= 1:
                break
        if best:
            return Choice(best[1], True, All(tuple(t for j, t in enumerate(tests) if j != best[2])))
        for driver, i in possible:
            if driver.in_order:
                return Choice(driver, False, All(tuple(t for j, t in enumerate(tests) if j != i)))
        return Choice(None, False, All(tests))

    def count(self, driver: Driver, limit: int) -> int:
        text = f"SELECT count(*) FROM (SELECT 1 FROM {driver.source} WHERE {driver.where} LIMIT ?)"
        sql = self.whole(Sql(text, [*driver.args, limit]))
        return int(self._db.execute(sql.text, sql.args).fetchone()[0])

    def few(self, test: Test, type: int) -> Sql | None:
        """The row numbers of all that pass, as a SELECT, when there are few; None when there may be many."""
        choice = self.choose(test, type)
        if choice.driver is None or not choice.few:
            return None
        probe = self.criteria.probe(choice.rest, type, "a.rid")
        driver = choice.driver
        text = f"SELECT a.rid FROM {driver.source} WHERE {driver.where} AND {probe.text}"
        self._named.append(Sql(text, [*driver.args, *probe.args]))
        return Sql(f"SELECT rid FROM w{len(self._named) - 1}", [])

    # ------------------------------------------------------------------------------------------- candidates
    def _drivers(self, test: Test, type: int) -> list[Driver]:
        """The ways in which a test can lead; none if it can only probe."""
        match test:
            case Link() | Linked():
                return self._by_targets([test])
            case Term(_, key, _):
                return [self._leaf(test, key is not None)]
            case Begins() | Text() | Span():
                return [self._leaf(test)]
            case Word(_, _, begins):
                where, args = self.criteria.word(test, "a")
                return [Driver("gram a", where, args, not begins)]
            case Ids(ids):
                marks = ",".join("?" * len(ids))
                return [Driver("res a", f"a.id IN ({marks}) AND a.type=? AND a.body IS NOT NULL", [*ids, type])]
            case Stamped():
                where, args = stamped(test, "a.stamp")
                return [Driver("late a", f"a.type=?{where}", [type, *args])]
            case Together(tests):
                return [
                    self._leaf(one, isinstance(one, Term), (*tests[:i], *tests[i + 1 :]))
                    for i, one in enumerate(tests)
                    if isinstance(one, Leaf)
                ]
            case Backlinked():
                return self._by_sources(test, type)
            case Any(tests) if tests:
                return self._by_alternatives(tests, type)
            case _:
                return []

    def _leaf(self, test: Leaf, in_order: bool = False, occurrence: tuple[Test, ...] = ()) -> Driver:
        table, where, args = self.criteria.rows(test, "a")
        rest = self.criteria.occurrence(occurrence, "a")
        return Driver(f"{table} a", f"{where} AND {rest.text}", [*args, *rest.args], in_order)

    def _by_targets(self, tests: "Sequence[Link | Linked]") -> list[Driver]:
        """Links of one parameter, to targets that are named or to the few that pass."""
        param, parts = "", list[Sql]()
        for test in tests:
            param = test.param
            if isinstance(test, Link):
                parts.append(Sql("?", [self.criteria.target(test.target)]))
                continue
            targets = self.few(test.test, self.criteria.type_number(test.type))
            if targets is None:
                return []
            parts.append(targets)
        args: Args = [self.criteria.known("param", param), *(arg for part in parts for arg in part.args)]
        if len(parts) == 1 and parts[0].text == "?":
            return [Driver("ref a", "a.p=? AND a.k=?", args, True)]
        if all(part.text == "?" for part in parts):
            named = [test for test in tests if isinstance(test, Link)]
            return [Driver("ref a", f"a.p=? AND a.k IN ({','.join('?' * len(parts))})", args, True, self._each(named))]
        union = " UNION ALL ".join("SELECT ?" if part.text == "?" else part.text for part in parts)
        return [Driver("ref a", f"a.p=? AND a.k IN ({union})", args, True)]

    def _by_sources(self, test: Backlinked, type: int) -> list[Driver]:
        sources = self.few(test.test, self.criteria.type_number(test.type))
        if sources is None:
            return []
        forwards = "CROSS JOIN ref f INDEXED BY ref_rid ON f.rid=s.rid AND f.p=?"
        return [
            Driver(
                f"({sources.text}) s {forwards} CROSS JOIN live a ON a.type=? AND a.rid=f.k",
                "1",
                [*sources.args, self.criteria.known("param", test.param), type],
            )
        ]

    def _by_alternatives(self, tests: tuple[Test, ...], type: int) -> list[Driver]:
        """Alternatives of one parameter are runs of one index; any others drive only when each has few rows."""
        links = [test for test in tests if isinstance(test, Link | Linked)]
        if len(links) == len(tests) and len({test.param for test in links}) == 1:
            drivers = self._by_targets(links)
            if drivers:
                return drivers
        terms = [test for test in tests if isinstance(test, Term) and test.key is not None]
        if len(terms) == len(tests) and len({test.param for test in terms}) == 1:
            return [self._by_keys(terms)]
        if len(tests) > ALTERNATIVES:
            return []
        parts = list[Sql]()
        for test in tests:
            part = self.few(test, type)
            if part is None:
                return self._merged(tests, type)
            parts.append(part)
        union = joined(parts, " UNION ALL ", "")
        return [Driver(f"{union.text} a", "1", union.args)]

    def _merged(self, tests: tuple[Test, ...], type: int) -> list[Driver]:
        """All rows of the alternatives, when each can lead and comes in rid order. A row may stand in several."""
        possible = [[d for d in self._drivers(test, type) if d.in_order and not d.either] for test in tests]
        if not all(possible):
            return []
        either = tuple(drivers[0] for drivers in possible)
        rows = " UNION ALL ".join(f"SELECT a.rid FROM {d.source} WHERE {d.where}" for d in either)
        return [Driver(f"({rows}) a", "1", [arg for d in either for arg in d.args], True, either)]

    def _by_keys(self, terms: list[Term]) -> Driver:
        keys: Args = [term.key for term in terms]
        where = f"a.p=? AND a.k IN ({','.join('?' * len(keys))})"
        args: Args = [self.criteria.known("param", terms[0].param), *keys]
        if any(term.scope is not None for term in terms):
            each = [self.criteria.rows(term, "a") for term in terms]
            where += f" AND ({' OR '.join(condition for _, condition, _ in each)})"
            args += [arg for _, _, some in each for arg in some]
        return Driver("tok a", where, args, True, self._each(terms))

    def _each(self, tests: "Sequence[Link | Term]") -> tuple[Driver, ...]:
        """One driver for each: SQLite puts the rows of an IN in order by sorting them all."""
        return tuple(self._leaf(test, True) for test in tests) if 1 < len(tests) <= ALTERNATIVES else ()
