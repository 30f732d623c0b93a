"""Contract: of many who want the same, one gets it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from server.keys import All, Claimed, Entry, StaleWrite, Term, Version, Write
from server.store.opening import open_store
from server.store.port import MULTI_PROCESS, Store
from tests.contract.author import Author, draft, ranked, term

MANY = 50


@pytest.fixture
async def stores(url: str, store: Store) -> AsyncIterator[list[Store]]:
    """The store, and a second process's view of it where several may write."""
    if MULTI_PROCESS not in store.abilities:
        yield [store]
        return
    other = await open_store(url)
    yield [store, other]
    await other.close()


async def race(stores: list[Store], writes: list[Write]) -> list[list[Version] | BaseException]:
    tasks = (stores[n % len(stores)].commit([write]) for n, write in enumerate(writes))
    return await asyncio.gather(*tasks, return_exceptions=True)


def entry(n: int) -> tuple[Entry, ...]:
    return ranked([term("T.p", f"{n}")])


async def test_of_fifty_creates_with_one_claim_one_wins(stores: list[Store], store: Store) -> None:
    writes = [Write("POST", "T", f"{n}", draft(f"{n}"), after=entry(n), claim="T?identifier=1") for n in range(MANY)]
    done = await race(stores, writes)
    won = [outcome for outcome in done if isinstance(outcome, list)]
    lost = [outcome for outcome in done if isinstance(outcome, Claimed)]
    assert (len(won), len(lost)) == (1, MANY - 1), done
    (winner,) = won[0]
    assert {refused.holder for refused in lost} == {f"T/{winner.id}"}
    assert await store.count("T", All()) == 1
    assert await store.history(None, None, None, 10) == [winner]


async def test_of_fifty_updates_of_one_version_one_wins(stores: list[Store], store: Store) -> None:
    await Author(store).put("T", "1")
    writes = [Write("PUT", "T", "1", draft("1", b"%d" % n), expect=1, after=entry(n)) for n in range(MANY)]
    done = await race(stores, writes)
    won = [outcome for outcome in done if isinstance(outcome, list)]
    lost = [outcome for outcome in done if isinstance(outcome, StaleWrite)]
    assert (len(won), len(lost)) == (1, MANY - 1), done
    assert {refused.current for refused in lost} == {2}
    assert await store.get("T", "1") == won[0][0]
    author = Author(store)
    hits = [n for n in range(MANY) if await author.ids("T", Term("T.p", f"{n}"))]
    assert hits == [done.index(won[0])]


async def test_of_fifty_creates_of_one_id_one_wins(stores: list[Store], store: Store) -> None:
    done = await race(stores, [Write("PUT", "T", "1", draft("1", b"%d" % n)) for n in range(MANY)])
    won = [outcome for outcome in done if isinstance(outcome, list)]
    lost = [outcome for outcome in done if isinstance(outcome, StaleWrite)]
    assert (len(won), len(lost)) == (1, MANY - 1), done
    assert await store.history(None, None, None, 10) == won[0]


async def test_commits_that_cross_each_other_all_end_whole(stores: list[Store], store: Store) -> None:
    """Two resources, written in both orders: every commit wins both or none, and nobody waits for ever."""
    made = await Author(store).commit(Author(store).write("T", "1"), Author(store).write("T", "2"))
    assert len(made) == 2

    def both(n: int) -> list[Write]:
        writes = [Write("PUT", "T", id, draft(id, b"%d" % n), expect=1) for id in ("1", "2")]
        return writes if n % 2 else writes[::-1]

    async with asyncio.timeout(30):
        tasks = (stores[n % len(stores)].commit(both(n)) for n in range(20))
        done = await asyncio.gather(*tasks, return_exceptions=True)
    won = [outcome for outcome in done if isinstance(outcome, list)]
    assert (len(won), sum(isinstance(outcome, StaleWrite) for outcome in done)) == (1, 19), done
    assert [await store.get("T", version.id) for version in won[0]] == won[0]


async def test_thirty_who_read_and_write_again_all_get_through(stores: list[Store], store: Store) -> None:
    await Author(store).put("T", "1")

    async def add(on: Store) -> None:
        while True:
            current = await on.get("T", "1")
            assert current is not None
            try:
                await on.commit([Write("PUT", "T", "1", draft("1"), expect=current.version)])
                return
            except StaleWrite as stale:
                assert stale.current > current.version

    await asyncio.gather(*(add(stores[n % len(stores)]) for n in range(30)))
    versions = await store.history("T", "1", None, 100)
    assert [version.version for version in versions] == list(range(31, 0, -1))
    stamps = [version.stamp for version in versions]
    assert stamps == sorted(set(stamps), reverse=True)


async def test_a_caller_that_goes_away_leaves_nothing_half_written(url: str) -> None:
    store = await open_store(url)
    for n in range(20):
        writes = [Write("POST", "T", f"{n}-{m}", draft(f"{n}-{m}"), after=entry(n)) for m in range(5)]
        task = asyncio.create_task(store.commit(writes))
        await asyncio.sleep(0.0005 * n)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert set((await _written(store)).values()) <= {5}
    await store.commit([Write("POST", "T", "last-0", draft("last-0"))])
    await store.close()  # finishes what is under way

    again = await open_store(url)
    try:
        counts = await _written(again)
        assert counts.pop("last") == 1
        assert set(counts.values()) == {5}
        assert await again.count("T", All()) == counts.total() + 1
    finally:
        await again.close()


async def _written(store: Store) -> Counter[str]:
    """How many writes of each commit are in the change sequence."""
    return Counter(line.id.partition("-")[0] for line in await store.changes(0, 1000))
