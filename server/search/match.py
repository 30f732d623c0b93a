"""The in-memory evaluator of the search algebra: the oracle of the stores, and what access filters on reads use."""

from collections.abc import Callable, Collection
from typing import assert_never

from server.keys import (
    LINK,
    SPAN,
    TERM,
    TEXT,
    All,
    Any,
    Entry,
    Ids,
    Link,
    Not,
    Present,
    Sort,
    Span,
    Stamped,
    Term,
    Test,
    Text,
)

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def matches(test: Test, entries: Collection[Entry], *, id: str, stamp: int) -> bool:
    """Whether a resource with these index entries, id and current stamp passes the test."""
    match test:
        case All(tests):
            return all(matches(t, entries, id=id, stamp=stamp) for t in tests)
        case Any(tests):
            return any(matches(t, entries, id=id, stamp=stamp) for t in tests)
        case Not(inner):
            return not matches(inner, entries, id=id, stamp=stamp)
        case Ids(ids):
            return id in ids
        case Stamped(low, high):
            return (low is None or low <= stamp) and (high is None or stamp < high)
        case Term(param, key, scope):
            return any(
                e.shape == TERM
                and e.param == param
                and (key is None or e.key == key)
                and (scope is None or e.scope == scope)
                for e in entries
            )
        case Text():
            return any(e.shape == TEXT and e.param == test.param and _text(test, e) for e in entries)
        case Link(param, target):
            return any(e.shape == LINK and e.param == param and e.key == target for e in entries)
        case Span(param, bounds, key):
            return any(
                e.shape == SPAN and e.param == param and e.key == key and any(_within(bound, e) for bound in bounds)
                for e in entries
            )
        case Present(param, shape):
            return any(e.shape == shape and e.param == param for e in entries)
        case _:  # pragma: no cover
            assert_never(test)


def sort_value(sort: Sort, entries: Collection[Entry]) -> str | int | None:
    """A resource's value under a sort key that is not `_id` or `_lastUpdated`; None when it has none."""
    wanted = (0, 2) if sort.descending else (0, 1)
    for e in entries:
        if e.param == sort.param and e.shape == sort.shape and e.rank in wanted:
            return e.low if e.shape == SPAN else e.key
    return None


def _text(test: Text, entry: Entry) -> bool:
    match test.how:
        case "prefix":
            return entry.key.startswith(test.value)
        case "contains":
            return test.value in entry.key
        case _:
            return entry.scope == test.value


def _within(bound: tuple[tuple[str, str, int], ...], entry: Entry) -> bool:
    return all(_COMPARE[op](entry.low if side == "low" else entry.high, value) for side, op, value in bound)
