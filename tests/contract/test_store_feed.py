"""Contract: history, and the one ordered sequence of changes."""

import asyncio

import pytest

from server.errors import Invalid
from server.keys import Change, StaleWrite, Version
from server.store.opening import open_store
from server.store.port import MULTI_PROCESS, Store
from tests.contract.author import Author, term

PATIENCE = 15.0  # seconds until the feed of one process must show the commits of another


def change(version: Version) -> Change:
    return Change(version.stamp, version.type, version.id, version.version, version.method)


async def feed(store: Store, after: int = 0, limit: int = 7) -> list[Change]:
    """Everything past a stamp, read in small steps."""
    done: list[Change] = []
    while step := await store.changes(done[-1].stamp if done else after, limit):
        assert len(step) <= limit
        done += step
    return done


# ---------------------------------------------------------------------------------------------- history
async def test_history_of_an_instance_a_type_and_the_system_is_newest_first(store: Store, author: Author) -> None:
    a1 = await author.put("A", "1")
    b1 = await author.put("B", "1")
    a2 = await author.put("A", "1")
    other = await author.put("A", "2")
    gone = await author.delete("A", "1")
    assert await store.history("A", "1", None, 10) == [gone, a2, a1]
    assert await store.history("A", None, None, 10) == [gone, other, a2, a1]
    assert await store.history(None, None, None, 10) == [gone, other, a2, b1, a1]
    assert await store.history("B", None, None, 10) == [b1]
    assert await store.history("C", None, None, 10) == []
    assert await store.history("B", "2", None, 10) == []


@pytest.mark.parametrize("scope", [("A", "1"), ("A", None), (None, None)])
async def test_history_pages_by_stamp(store: Store, author: Author, scope: tuple[str | None, str | None]) -> None:
    made = [await author.put("A", "1") for _ in range(7)]
    made.append(await author.delete("A", "1"))
    read: list[Version] = []
    while page := await store.history(*scope, read[-1].stamp if read else None, 3):
        assert len(page) <= 3
        read += page
    assert read == made[::-1]
    assert await store.history(*scope, made[0].stamp, 10) == []
    assert await store.history(*scope, made[2].stamp, 1) == [made[1]]
    assert await store.history(*scope, made[2].stamp + 1, 1) == [made[2]]
    assert await store.history(*scope, None, 0) == []


# ---------------------------------------------------------------------------------------------- changes
async def test_changes_are_every_write_in_order(store: Store, author: Author) -> None:
    made = [
        await author.put("A", "1"),
        *await author.commit(author.write("B", "2"), author.write("A", "1"), author.write("A", "0")),
        await author.delete("B", "2"),
        await author.put("B", "2"),
    ]
    expected = [change(version) for version in made]
    assert await store.changes(0, 100) == expected
    assert await feed(store, limit=1) == expected
    assert await store.changes(made[1].stamp, 2) == expected[2:4]
    assert await store.changes(made[-1].stamp, 2) == []
    assert await store.changes(0, 0) == []


async def test_a_failed_commit_leaves_no_change(store: Store, author: Author) -> None:
    first = await author.put("A", "1")
    with pytest.raises(StaleWrite):
        await author.commit(author.write("A", "2"), author.write("A", "3", expect=4))
    last = await author.put("A", "4")
    assert await store.changes(0, 10) == [change(first), change(last)]


async def test_a_reader_sees_its_own_commit_at_once(store: Store, author: Author) -> None:
    seen = 0
    for n in range(30):
        made = await author.put("A", f"{n}")
        assert await store.changes(seen, 10) == [change(made)]
        seen = made.stamp


async def _follow(store: Store, ended: asyncio.Event) -> list[Change]:
    """Reads on until the writers have ended; a change is never behind one that was shown."""
    shown: list[Change] = []
    while not ended.is_set():
        step = await store.changes(shown[-1].stamp if shown else 0, 50)
        assert [line.stamp for line in step] == sorted({line.stamp for line in step})
        shown += step
        await asyncio.sleep(0.002)
    # what was shown stays as it was: nothing came in between later
    assert await store.changes(0, len(shown)) == shown
    return shown


async def test_concurrent_commits_never_appear_before_what_was_shown(store: Store) -> None:
    async def write(writer: int) -> list[Version]:
        author, made = Author(store), []
        for n in range(8):
            # sizes differ, so that commits overtake each other
            size = 1 + (writer * 7 + n) % 25
            made += await author.commit(
                *(author.write("A", f"{writer}-{n}-{m}", term("A.p", "x")) for m in range(size))
            )
        return made

    ended = asyncio.Event()
    reader = asyncio.create_task(_follow(store, ended))
    made = [version for part in await asyncio.gather(*(write(n) for n in range(8))) for version in part]
    ended.set()
    shown = await reader
    expected = sorted(change(version) for version in made)
    # complete as soon as the commits have returned, and the reader's part is the beginning of it
    assert await feed(store, limit=1000) == expected
    assert shown == expected[: len(shown)]


async def _a_second_writer_is_refused(url: str) -> None:
    """What a store with one writer process does instead: nobody writes beside it unnoticed."""
    with pytest.raises(Invalid, match="another process"):
        await open_store(url)


async def test_two_processes_write_one_store_and_both_feeds_are_whole(url: str, store: Store) -> None:
    if MULTI_PROCESS not in store.abilities:
        await _a_second_writer_is_refused(url)
        return
    other = await open_store(url)
    ended = asyncio.Event()
    try:

        async def write(on: Store, name: str) -> list[Version]:
            author = Author(on)
            return [await author.put("A", f"{name}{n}", claim=f"{name}{n}") for n in range(40)]

        readers = [asyncio.create_task(_follow(each, ended)) for each in (store, other)]
        parts = await asyncio.gather(
            *(write(each, name) for each, name in ((store, "a"), (store, "b"), (other, "c"), (other, "d")))
        )
        expected = sorted(change(version) for part in parts for version in part)
        assert len({line.stamp for line in expected}) == 160
        for each in (store, other):
            async with asyncio.timeout(PATIENCE):
                while await feed(each, limit=1000) != expected:
                    await asyncio.sleep(0.05)
        ended.set()
        for shown in await asyncio.gather(*readers):
            assert shown == expected[: len(shown)]
    finally:
        ended.set()
        await other.close()


async def test_what_one_process_wrote_the_other_reads_and_continues(url: str, store: Store) -> None:
    if MULTI_PROCESS not in store.abilities:
        await _a_second_writer_is_refused(url)
        return
    other = await open_store(url)
    try:
        first = await Author(store).put("A", "1", term("A.p", "x"))
        assert await other.get("A", "1") == first
        author = Author(other)
        author.seen["A", "1"], author.entries["A", "1"] = 1, (term("A.p", "x"),)
        second = await author.put("A", "1")
        assert (second.version, second.stamp > first.stamp) == (2, True)
        assert await store.get("A", "1") == second
        assert await store.history("A", "1", None, 5) == [second, first]
    finally:
        await other.close()
    # the other has gone: its changes need no waiting
    assert await store.changes(0, 5) == [change(first), change(second)]
