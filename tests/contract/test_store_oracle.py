"""Contract: for any entries and any test, a store finds what the in-memory evaluator says (search/match.py)."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    Select,
    Sort,
    Span,
    Stamped,
    Term,
    Test,
    Text,
    Version,
)
from server.search.match import matches, sort_value
from server.store.port import Store
from tests.contract.author import Author, ids_of, pages, ranked

# few and close together, so that hits and near misses are common
PARAMS = st.sampled_from(["T.p", "T.pq", "T.p|"])
WORDS = st.one_of(
    st.sampled_from(["", "a", "ab", "a|b", "b", "|", "%", "_", ".*", "𠮷", "𠮷田", "｡", "ａ", "\ud7ff", "\ue000"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4),
)
NUMBERS = st.one_of(st.integers(-3, 12), st.sampled_from([-(2**63), 2**63 - 1, 2**31, -(2**31) - 1]))
SHAPES = st.sampled_from([TERM, TEXT, LINK, SPAN])

TERMS = st.builds(lambda p, k, s: Entry(TERM, p, k, s), PARAMS, WORDS, WORDS)
TEXTS = st.builds(lambda p, w, up: Entry(TEXT, p, w, w.upper() if up else w), PARAMS, WORDS, st.booleans())
LINKS = st.builds(
    lambda p, k: Entry(LINK, p, k), PARAMS, st.one_of(st.sampled_from(["P/1", "P/2", "http://x/P/1"]), WORDS)
)
SPANS = st.builds(
    lambda p, ends, u: Entry(SPAN, p, u, "", min(ends), max(ends)),
    PARAMS,
    st.tuples(NUMBERS, NUMBERS),
    st.sampled_from(["", "u", "|"]),
)
ENTRIES = st.lists(st.one_of(TERMS, TEXTS, LINKS, SPANS), max_size=6).map(ranked)

Resources = dict[str, tuple[Entry, ...]]


def conjunctions(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[tuple[str, str, int], ...]]:
    sides, ops = st.sampled_from(["low", "high"]), st.sampled_from(["<", "<=", ">", ">="])
    return st.lists(st.tuples(sides, ops, numbers), max_size=3).map(tuple)


@st.composite
def leaves(draw: st.DrawFn, resources: Resources, stamps: list[int]) -> Test:
    """A leaf, often about an entry that is there."""
    there = [entry for entries in resources.values() for entry in entries]
    if there and draw(st.booleans()):
        return draw(_about(draw(st.sampled_from(there))))
    stamp = st.one_of(st.none(), st.sampled_from([0, *stamps, 2**63 - 1]))
    ids = st.lists(st.sampled_from([*resources, "other"]), max_size=3).map(tuple)
    units = st.sampled_from(["", "u", "|"])
    return draw(
        st.one_of(
            st.builds(Term, PARAMS, st.none() | WORDS, st.none() | WORDS),
            st.builds(Text, PARAMS, WORDS, st.sampled_from(["prefix", "contains"])),
            st.builds(Link, PARAMS, WORDS),
            st.builds(Span, PARAMS, st.lists(conjunctions(NUMBERS), max_size=3).map(tuple), units),
            st.builds(Present, PARAMS, SHAPES),
            st.builds(Ids, ids),
            st.builds(Stamped, stamp, stamp),
        )
    )


def _about(entry: Entry) -> st.SearchStrategy[Test]:
    """A leaf that has something to do with this entry."""
    param = entry.param
    if entry.shape == TERM:
        keys, scopes = st.sampled_from([None, entry.key]), st.sampled_from([None, "", entry.scope])
        return st.builds(Term, st.just(param), keys, scopes)
    if entry.shape == TEXT:
        cuts = st.integers(0, len(entry.key))
        return st.one_of(
            cuts.map(lambda n: Text(param, entry.key[:n])),
            cuts.map(lambda n: Text(param, entry.key[n:], "contains")),
            st.just(Text(param, entry.scope, "exact", entry.key)),
        )
    if entry.shape == LINK:
        return st.just(Link(param, entry.key))
    bounds = st.lists(conjunctions(st.sampled_from([entry.low, entry.high])), max_size=2)
    return bounds.map(lambda alternatives: Span(param, tuple(alternatives), entry.key))


def any_tests(resources: Resources, stamps: list[int]) -> st.SearchStrategy[Test]:
    return st.recursive(
        leaves(resources, stamps),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda tests: All(tuple(tests))),
            st.lists(inner, max_size=3).map(lambda tests: Any(tuple(tests))),
            inner.map(Not),
        ),
        max_leaves=6,
    )


SORTS = st.lists(
    st.one_of(
        st.builds(Sort, st.sampled_from(["T.p", "T.pq"]), st.sampled_from([TERM, TEXT, SPAN]), st.booleans()),
        st.builds(Sort, st.sampled_from(["_id", "_lastUpdated"]), st.just(""), st.booleans()),
    ),
    max_size=3,
    unique_by=lambda sort: (sort.param, sort.shape),
).map(tuple)

MANY = st.lists(ENTRIES, min_size=1, max_size=6)
FEW = st.lists(ENTRIES, max_size=3)
EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
_examples = itertools.count()


@asynccontextmanager
async def stored(
    author: Author, first: list[tuple[Entry, ...]], second: list[tuple[Entry, ...]]
) -> AsyncIterator[tuple[Resources, list[Version]]]:
    """Resources with the entries of `first`, some then updated to those of `second`; all deleted at the end."""
    example = next(_examples)
    resources = {f"{example}-{n}": entries for n, entries in enumerate(first)}
    later = dict(zip(resources, second, strict=False))
    try:
        made = {version.id: version for version in await _write(author, resources)}
        made |= {version.id: version for version in await _write(author, later)}
        yield resources | later, list(made.values())
    finally:
        await author.commit(*(author.deletion("T", id) for id in resources if ("T", id) in author.seen))


async def _write(author: Author, resources: Resources) -> list[Version]:
    return await author.commit(*(author.write("T", id, *entries) for id, entries in resources.items()))


@EXAMPLES
@given(first=MANY, second=FEW, data=st.data())
async def test_select_and_count_agree_with_the_evaluator_in_memory(
    author: Author, first: list[tuple[Entry, ...]], second: list[tuple[Entry, ...]], data: st.DataObject
) -> None:
    async with stored(author, first, second) as (resources, versions):
        for _ in range(3):
            test = data.draw(any_tests(resources, [version.stamp for version in versions]))
            expected = [v.id for v in versions if matches(test, resources[v.id], id=v.id, stamp=v.stamp)]
            assert await author.ids("T", test) == sorted(expected), test


@EXAMPLES
@given(first=MANY, second=FEW, sorts=SORTS, limit=st.integers(1, 4))
async def test_sorted_pages_agree_with_sorting_in_memory(
    store: Store,
    author: Author,
    first: list[tuple[Entry, ...]],
    second: list[tuple[Entry, ...]],
    sorts: tuple[Sort, ...],
    limit: int,
) -> None:
    async with stored(author, first, second) as (resources, versions):
        found = await pages(store, Select("T", All(), sorts, limit=limit))
        assert ids_of(found) == _in_order(sorts, resources, versions)
        assert all(len(page.versions) == limit for page in found[:-1])


def _in_order(sorts: tuple[Sort, ...], resources: Resources, versions: list[Version]) -> list[str]:
    """Ids as keys.py says: missing values last, equals newest (created) first. `versions` in order of creation."""

    def value(sort: Sort, version: Version) -> str | int | None:
        if sort.param == "_id":
            return version.id
        return version.stamp if sort.param == "_lastUpdated" else sort_value(sort, resources[version.id])

    ordered = versions[::-1]
    for sort in sorts[::-1]:  # sorting is stable: the last key first
        present = [version for version in ordered if value(sort, version) is not None]
        present.sort(key=partial(value, sort), reverse=sort.descending)  # equals keep their order, reversed or not
        ordered = present + [version for version in ordered if value(sort, version) is None]
    return [version.id for version in ordered]
