"""Contract: versions of another store are taken over as they are, and writing goes on after them."""

import time
from collections.abc import Sequence

import pytest

from server.errors import Conflict, Invalid
from server.keys import Adoption, All, Claimed, Entry, Holding, StaleWrite, Term, Version, Write, stamp_of
from server.store.opening import open_store
from server.store.port import MULTI_PROCESS, Store
from tests.contract.author import Author, draft, link, ranked, term

NOW = time.time_ns() // 1_000_000
PAST = stamp_of(NOW - 86_400_000)
FUTURE = stamp_of(NOW + 3_600_000)


def version(id: str, number: int, stamp: int, method: str = "PUT", body: bytes | None = None) -> Version:
    written = b"" if method == "DELETE" else b'{"n": %d.00}' % number
    return Version("T", id, number, stamp, method, written if body is None else body)


def adoption(version: Version, before: Sequence[Entry] = (), after: Sequence[Entry] = ()) -> Adoption:
    return Adoption(version, ranked(before), ranked(after))


async def test_adopted_versions_keep_number_stamp_method_and_bytes(store: Store) -> None:
    made = [
        version("1", 1, PAST, "POST", b'{"a":1.0000000000000000000000,  "b":"\xe5\x91\xa8"}'),
        version("2", 1, PAST + 5, "POST"),
        version("1", 2, PAST + 6),
        version("1", 3, PAST + 7, "DELETE"),
        version("2", 2, PAST + 9, "PATCH"),
    ]
    await store.adopt([adoption(v) for v in made[:2]])
    await store.adopt([adoption(v) for v in made[2:]])
    assert await store.history(None, None, None, 10) == made[::-1]
    assert [(c.stamp, c.id, c.version, c.method) for c in await store.changes(0, 10)] == [
        (v.stamp, v.id, v.version, v.method) for v in made
    ]
    for v in made:
        assert await store.get("T", v.id, v.version) == v
    assert await store.get("T", "1") == made[3]
    assert await Author(store).ids("T", All()) == ["2"]


async def test_what_follows_an_adoption_is_later_even_than_a_stamp_of_the_future(store: Store) -> None:
    await store.adopt([adoption(version("1", 4, FUTURE))])
    author = Author(store)
    author.seen["T", "1"] = 4
    after = [await author.put("T", "1"), await author.put("T", "2"), await author.delete("T", "1")]
    assert [v.version for v in after] == [5, 1, 6]
    stamps = [line.stamp for line in await store.changes(0, 10)]
    assert stamps == [FUTURE, *(v.stamp for v in after)]
    assert stamps == sorted(set(stamps))


async def test_a_search_finds_the_last_adopted_entries_only(store: Store) -> None:
    old, new = term("T.p", "old"), term("T.p", "new")
    subject, both = link("T.subject", "P/1"), term("T.q", "kept")
    await store.adopt([adoption(version("1", 1, PAST), (), (old, subject, both))])
    author = Author(store)
    assert await author.ids("T", Term("T.p", "old")) == ["1"]
    await store.adopt(
        [
            adoption(version("1", 2, PAST + 1), (old, subject, both), (new, both)),
            adoption(version("2", 1, PAST + 2), (), (old,)),
            adoption(version("2", 2, PAST + 3, "DELETE"), (old,)),
        ]
    )
    assert await author.ids("T", Term("T.p", "old")) == []
    assert await author.ids("T", Term("T.p", "new")) == ["1"]
    assert await author.ids("T", Term("T.q", "kept")) == ["1"]


async def test_an_adopted_version_is_updated_and_deleted_like_any_other(store: Store) -> None:
    entries = ranked([term("T.p", "x")])
    await store.adopt([Adoption(version("1", 3, PAST), (), entries)])
    with pytest.raises(StaleWrite) as stale:
        await store.commit([Write("PUT", "T", "1", draft("1"), expect=2)])
    assert stale.value.current == 3
    (updated,) = await store.commit([Write("PUT", "T", "1", draft("1"), expect=3, before=entries)])
    assert updated.version == 4
    assert await store.count("T", Term("T.p", "x")) == 0
    await store.commit([Write("DELETE", "T", "1", None, expect=4)])
    assert [v.version for v in await store.history("T", "1", None, 10)] == [5, 4, 3]


@pytest.mark.parametrize("number", [1, 2])
async def test_a_number_that_is_not_above_the_one_here_is_refused_and_nothing_stays(store: Store, number: int) -> None:
    await store.adopt([adoption(version("1", 2, PAST))])
    with pytest.raises(StaleWrite) as refused:
        await store.adopt([adoption(version("2", 1, PAST + 1)), adoption(version("1", number, PAST + 2))])
    assert refused.value.current == 2
    assert [line.id for line in await store.changes(0, 10)] == ["1"]
    assert await store.get("T", "2") is None


@pytest.mark.parametrize("stamps", [(PAST,), (PAST - 1,), (PAST + 2, PAST + 1), (PAST + 1, PAST + 1)])
async def test_a_stamp_that_is_not_later_than_all_here_is_refused_and_nothing_stays(
    store: Store, stamps: tuple[int, ...]
) -> None:
    await store.adopt([adoption(version("1", 1, PAST))])
    with pytest.raises(Conflict, match="not later"):
        await store.adopt([adoption(version(f"a{n}", 1, stamp)) for n, stamp in enumerate(stamps)])
    assert [line.id for line in await store.changes(0, 10)] == ["1"]


async def test_claims_come_in_order_and_go_to_who_lives_there(store: Store) -> None:
    author = Author(store)
    await author.put("T", "1", claim="T?b=é")
    await author.put("T", "2", claim="T?a=1")
    await author.put("T", "3", claim="T?c=1")
    await author.delete("T", "3")
    assert await store.holdings("", 10) == [Holding("T?a=1", "T/2"), Holding("T?b=é", "T/1")]
    assert await store.holdings("T?a=1", 10) == [Holding("T?b=é", "T/1")]
    assert await store.holdings("", 1) == [Holding("T?a=1", "T/2")]
    assert await store.holdings("", 0) == []

    held = [Holding("T?a=1", "T/1"), Holding("T?new=1", "T/2"), Holding("T?gone=1", "T/3"), Holding("T?no=1", "T/9")]
    await store.adopt([], held)
    assert await store.holdings("", 10) == [
        Holding("T?a=1", "T/1"),
        Holding("T?b=é", "T/1"),
        Holding("T?new=1", "T/2"),
    ]
    with pytest.raises(Claimed) as claimed:
        await author.put("T", "4", claim="T?new=1")
    assert claimed.value.holder == "T/2"
    assert (await author.put("T", "4", claim="T?gone=1")).version == 1


async def test_an_adopted_deletion_frees_its_claims(store: Store) -> None:
    await store.adopt([adoption(version("1", 1, PAST))], [Holding("T?a=1", "T/1")])
    assert await store.holdings("", 10) == [Holding("T?a=1", "T/1")]
    await store.adopt([adoption(version("1", 2, PAST + 1, "DELETE"))])
    assert await store.holdings("", 10) == []


async def test_versions_before_a_gap_may_be_missing(store: Store) -> None:
    """What was expunged elsewhere cannot come along: numbers grow, they need not be next to each other."""
    made = [version("1", 3, PAST), version("1", 7, PAST + 1)]
    await store.adopt([adoption(v) for v in made])
    assert await store.history("T", "1", None, 10) == made[::-1]
    assert await store.get("T", "1", 4) is None


async def test_adoption_beside_another_process_is_refused_where_it_could_break_the_sequence(
    url: str, store: Store
) -> None:
    await store.adopt([])
    if MULTI_PROCESS not in store.abilities:
        with pytest.raises(Invalid, match="writes in"):
            await open_store(url)
        return
    other = await open_store(url)
    try:
        if store.name == "mongodb":  # the other one gives stamps of its own
            for adoptions in ([], [adoption(version("1", 1, PAST))]):
                with pytest.raises(Conflict, match="open"):
                    await store.adopt(adoptions)
            assert await other.changes(0, 10) == []
        else:  # all stamps come from one process
            await store.adopt([adoption(version("1", 1, FUTURE))])
            after = await Author(other).put("T", "2")
            assert [line.stamp for line in await store.changes(0, 10)] == [FUTURE, after.stamp]
    finally:
        await other.close()
    await store.adopt([adoption(version("3", 1, FUTURE + 10))])
    assert await store.get("T", "3") == version("3", 1, FUTURE + 10)
