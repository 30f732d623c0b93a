"""Contract: for any entries and any test, a store finds what the in-memory evaluator says (search/match.py)."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    Select,
    Sort,
    Span,
    Stamped,
    Term,
    Test,
    Text,
    Together,
    Version,
    Word,
)
from server.search.match import Peer, matches, sort_value
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
# @n stands for the nth resource of an example, see `stored`
TARGETS = st.sampled_from(["T/@0", "T/@1", "T/@2", "S/@0", "S/@1", "P/@0"])
LINKS = st.builds(
    lambda p, k: Entry(LINK, p, k), PARAMS, st.one_of(TARGETS, TARGETS, st.sampled_from(["P/1", "http://x/P/1"]), WORDS)
)
SPANS = st.builds(
    lambda p, ends, u: Entry(SPAN, p, u, "", min(ends), max(ends)),
    PARAMS,
    st.tuples(NUMBERS, NUMBERS),
    st.sampled_from(["", "u", "|"]),
)
GRAMS = st.builds(lambda p, k: Entry(WORD, p, k), PARAMS, WORDS.filter(bool))
SIMPLE = st.one_of(TERMS, TEXTS, SPANS)
PLACES = st.sampled_from(["T.c", "T.c|"])
PARTS = st.builds(
    lambda entry, place, part, n: entry._replace(param=f"{place}#{part}", rank=n),
    SIMPLE,
    PLACES,
    st.sampled_from("xy"),
    st.integers(0, 2),
)
ENTRIES = st.lists(st.one_of(TERMS, TEXTS, LINKS, SPANS, GRAMS, PARTS, PARTS), max_size=8).map(ranked)

Resources = dict[str, tuple[Entry, ...]]
World = dict[str, Resources]  # by type


def conjunctions(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[tuple[str, str, int], ...]]:
    sides, ops = st.sampled_from(["low", "high"]), st.sampled_from(["<", "<=", ">", ">="])
    return st.lists(st.tuples(sides, ops, numbers), max_size=3).map(tuple)


@st.composite
def leaves(draw: st.DrawFn, resources: Resources, stamps: list[int]) -> Test:
    """A leaf, often about an entry that is there."""
    there = [entry for entries in resources.values() for entry in entries]
    if there and draw(st.booleans()):
        entry = draw(st.sampled_from(there))
        return draw(_together(entry, there) if PART in entry.param and draw(st.booleans()) else _about(entry))
    stamp = st.one_of(st.none(), st.sampled_from([0, *stamps, 2**63 - 1]))
    ids = st.lists(st.sampled_from([*resources, "other"]), max_size=3).map(tuple)
    units = st.sampled_from(["", "u", "|"])
    return draw(
        st.one_of(
            st.builds(Term, PARAMS, st.none() | WORDS, st.none() | WORDS),
            st.builds(Begins, PARAMS, WORDS.filter(bool)),
            st.builds(Text, PARAMS, WORDS, st.sampled_from(["prefix", "contains", "suffix", "equal"])),
            st.builds(Word, PARAMS, WORDS.filter(bool), st.booleans()),
            st.builds(Link, PARAMS, WORDS),
            st.builds(Span, PARAMS, st.lists(conjunctions(NUMBERS), max_size=3).map(tuple), units),
            st.builds(Present, PARAMS, SHAPES),
            st.builds(Ids, ids),
            st.builds(Stamped, stamp, stamp),
        )
    )


def _together(entry: Entry, there: list[Entry]) -> st.SearchStrategy[Test]:
    """Tests on parts of one place: a hit needs them in one occurrence."""
    place = entry.param.partition(PART)[0] + PART
    part = st.sampled_from([e for e in there if e.param.startswith(place)]).flatmap(_about)
    either = st.lists(part, max_size=2).map(lambda tests: Any(tuple(tests)))
    return st.lists(st.one_of(part, part, either), min_size=1, max_size=3).map(lambda tests: Together(tuple(tests)))


def _about(entry: Entry) -> st.SearchStrategy[Test]:
    """A leaf that has something to do with this entry."""
    param = entry.param
    if entry.shape == TERM:
        keys, scopes = st.sampled_from([None, entry.key]), st.sampled_from([None, "", entry.scope])
        begins = st.integers(1, max(1, len(entry.key))).map(lambda n: Begins(param, entry.key[:n] or "a"))
        return st.one_of(st.builds(Term, st.just(param), keys, scopes), begins)
    if entry.shape == TEXT:
        cuts = st.integers(0, len(entry.key))
        return st.one_of(
            cuts.map(lambda n: Text(param, entry.key[:n])),
            cuts.map(lambda n: Text(param, entry.key[n:], "contains")),
            cuts.map(lambda n: Text(param, entry.key[n:], "suffix")),
            st.just(Text(param, entry.scope, "exact", entry.key)),
            st.just(Text(param, entry.key, "equal")),
        )
    if entry.shape == WORD:
        cuts = st.integers(1, len(entry.key))
        return st.one_of(st.just(Word(param, entry.key)), cuts.map(lambda n: Word(param, entry.key[:n], True)))
    if entry.shape == LINK:
        return st.just(Link(param, entry.key))
    bounds = st.lists(conjunctions(st.sampled_from([entry.low, entry.high])), max_size=2)
    return bounds.map(lambda alternatives: Span(param, tuple(alternatives), entry.key))


def any_tests(resources: Resources, stamps: list[int]) -> st.SearchStrategy[Test]:
    return _combined(leaves(resources, stamps), 6)


def _combined(leaf: st.SearchStrategy[Test], most: int) -> st.SearchStrategy[Test]:
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda tests: All(tuple(tests))),
            st.lists(inner, max_size=3).map(lambda tests: Any(tuple(tests))),
            inner.map(Not),
        ),
        max_leaves=most,
    )


def chains(world: World, type: str, stamps: list[int], depth: int = 3) -> st.SearchStrategy[Test]:
    """Tests of a resource of `type` that follow links, up to `depth` of them one after the other."""
    leaf = leaves(world[type], stamps)
    if not depth:
        return leaf
    far = {other: chains(world, other, stamps, depth - 1) for other in world}
    linked = st.sampled_from(sorted(world)).flatmap(
        lambda other: st.builds(Linked, PARAMS.map(lambda p: _of_type(p, type)), st.just(other), far[other])
    )
    backlinked = st.sampled_from(sorted(world)).flatmap(
        lambda other: st.builds(Backlinked, st.just(other), PARAMS.map(lambda p: _of_type(p, other)), far[other])
    )
    return _combined(st.one_of(linked, backlinked, st.just(All()), leaf), 4)


def _of_type(param: str, type: str) -> str:
    return f"{type}.{param.partition('.')[2]}"


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


class Written:
    """What an example has stored, by type: entries by id, versions in the order of creation."""

    def __init__(self) -> None:
        self.entries: World = {"T": {}, "S": {}}
        self.versions: dict[str, dict[str, Version]] = {"T": {}, "S": {}}

    def of(self, type: str) -> Iterator[Peer]:
        for version in self.versions.get(type, {}).values():
            yield Peer(type, version.id, version.stamp, self.entries[type][version.id])

    @property
    def stamps(self) -> list[int]:
        return [version.stamp for versions in self.versions.values() for version in versions.values()]

    def expected(self, type: str, test: Test) -> list[str]:
        """Ids as the evaluator in memory finds them, sorted."""
        return sorted(
            peer.id
            for peer in self.of(type)
            if matches(test, peer.entries, id=peer.id, stamp=peer.stamp, type=type, peers=self)
        )


@asynccontextmanager
async def stored(
    author: Author,
    first: list[tuple[Entry, ...]],
    second: list[tuple[Entry, ...]],
    others: list[tuple[Entry, ...]] | None = None,
) -> AsyncIterator[Written]:
    """Resources of type T with the entries of `first`, some then updated to those of `second`, and of type S with those
    of `others`; all deleted at the end."""
    example = next(_examples)
    written = Written()
    try:
        for type, some in (("S", others or []), ("T", first), ("T", second[: len(first)])):
            await _write(author, written, type, [_placed(entries, type, example) for entries in some], example)
        yield written
    finally:
        for type, entries in written.entries.items():
            await author.commit(*(author.deletion(type, id) for id in entries))


def _placed(entries: tuple[Entry, ...], type: str, example: int) -> tuple[Entry, ...]:
    """The entries as those of a resource of `type`, their links to @n as links to the resources of this example."""
    return tuple(
        entry._replace(
            param=_of_type(entry.param, type),
            key=entry.key.replace("@", f"{example}-") if entry.shape == LINK else entry.key,
        )
        for entry in entries
    )


async def _write(author: Author, written: Written, type: str, some: list[tuple[Entry, ...]], example: int) -> None:
    resources = {f"{example}-{n}": entries for n, entries in enumerate(some)}
    versions = await author.commit(*(author.write(type, id, *entries) for id, entries in resources.items()))
    written.entries[type] |= resources
    written.versions[type] |= {version.id: version for version in versions}


@EXAMPLES
@given(first=MANY, second=FEW, data=st.data())
async def test_select_and_count_agree_with_the_evaluator_in_memory(
    author: Author, first: list[tuple[Entry, ...]], second: list[tuple[Entry, ...]], data: st.DataObject
) -> None:
    async with stored(author, first, second) as written:
        for _ in range(3):
            test = data.draw(any_tests(written.entries["T"], written.stamps))
            assert await author.ids("T", test) == written.expected("T", test), test


@EXAMPLES
@given(first=MANY, second=FEW, others=MANY, data=st.data())
async def test_chains_agree_with_the_evaluator_in_memory(
    author: Author,
    first: list[tuple[Entry, ...]],
    second: list[tuple[Entry, ...]],
    others: list[tuple[Entry, ...]],
    data: st.DataObject,
) -> None:
    async with stored(author, first, second, others) as written:
        for _ in range(5):
            test = data.draw(chains(written.entries, "T", written.stamps))
            assert await author.ids("T", test) == written.expected("T", test), test


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
    async with stored(author, first, second) as written:
        found = await pages(store, Select("T", All(), sorts, limit=limit))
        assert ids_of(found) == _in_order(sorts, written.entries["T"], list(written.versions["T"].values()))
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
