"""The in-memory evaluator of the search algebra: the oracle of the stores, and what access filters on reads use."""

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple, Protocol, assert_never

from server.keys import (
    LINK,
    PART,
    SPAN,
    TERM,
    TEXT,
    WORD,
    All,
    Any,
    Backlinked,
    Begins,
    Entry,
    Ids,
    Link,
    Linked,
    Not,
    Present,
    Sort,
    Span,
    Stamped,
    Term,
    Test,
    Text,
    Together,
    Word,
)

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class Peer(NamedTuple):
    """A living resource as a chain meets it."""

    type: str
    id: str
    stamp: int
    entries: Collection[Entry]


class Peers(Protocol):
    """The other resources, for chains and `_has`."""

    def of(self, type: str) -> Iterable[Peer]: ...


def matches(
    test: Test, entries: Collection[Entry], *, id: str, stamp: int, type: str = "", peers: Peers | None = None
) -> bool:
    """Whether a resource with these index entries, id and current stamp passes the test.

    `type` and `peers` are needed by tests that hold a Linked or Backlinked.
    """

    def passes(inner: Test) -> bool:
        return matches(inner, entries, id=id, stamp=stamp, type=type, peers=peers)

    match test:
        case All(tests):
            return all(passes(t) for t in tests)
        case Any(tests):
            return any(passes(t) for t in tests)
        case Not(inner):
            return not passes(inner)
        case Together(tests):
            return any(all(_in_one(t, occurrence) for t in tests) for occurrence in _occurrences(entries))
        case Linked(param, wanted, inner):
            targets = {e.key for e in entries if e.shape == LINK and e.param == param}
            return any(f"{wanted}/{p.id}" in targets and _peer_passes(inner, p, peers) for p in _of(peers, wanted))
        case Backlinked(source, param, inner):
            here = Link(param, f"{type}/{id}")
            return any(_peer_passes(All((here, inner)), p, peers) for p in _of(peers, source))
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
        case Begins(param, prefix):
            return any(e.shape == TERM and e.param == param and e.key.startswith(prefix) for e in entries)
        case Word(param, key, begins):
            words = (e.key for e in entries if e.shape == WORD and e.param == param)
            return any(word.startswith(key) if begins else word == key for word in words)
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


def _of(peers: Peers | None, type: str) -> Iterable[Peer]:
    if peers is None:
        raise TypeError("a chain is judged only where the other resources are at hand")
    return peers.of(type)


def _peer_passes(test: Test, peer: Peer, peers: Peers | None) -> bool:
    return matches(test, peer.entries, id=peer.id, stamp=peer.stamp, type=peer.type, peers=peers)


def _occurrences(entries: Collection[Entry]) -> Iterable[list[Entry]]:
    found: dict[tuple[str, int], list[Entry]] = {}
    for e in entries:
        if PART in e.param:
            found.setdefault((e.param.partition(PART)[0], e.rank), []).append(e)
    return found.values()


def _in_one(test: Test, occurrence: list[Entry]) -> bool:
    return matches(test, occurrence, id="", stamp=0)


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
        case "equal":
            return entry.key == test.value
        case "suffix":
            return entry.key.endswith(test.value)
        case _:
            return entry.scope == test.value


def _within(bound: tuple[tuple[str, str, int], ...], entry: Entry) -> bool:
    return all(_COMPARE[op](entry.low if side == "low" else entry.high, value) for side, op, value in bound)
