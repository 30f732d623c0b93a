"""Contract: orders, pages, cursors, and pages that neither repeat nor miss while others write."""

import asyncio
import itertools

import pytest

from server.errors import Invalid
from server.keys import LINK, SPAN, TERM, TEXT, All, Any, Cursor, Not, Select, Sort, Term
from server.store.port import Store
from tests.contract.author import Author, ids_of, link, pages, span, term, text

ID, UPDATED = Sort("_id"), Sort("_lastUpdated")


async def order(store: Store, *sorts: Sort, limit: int = 2) -> list[str]:
    """Ids in order, read in pages of `limit`, which must be the order of one big page too."""
    found = ids_of(await pages(store, Select("T", All(), sorts, limit=limit)))
    assert found == ids_of([await store.select(Select("T", All(), sorts, limit=1000))])
    return found


async def test_without_sorts_the_newest_resource_comes_first_and_updates_move_nothing(
    store: Store, author: Author
) -> None:
    for id in ("b", "c", "a", "d"):
        await author.put("T", id)
    assert await order(store) == ["d", "a", "c", "b"]
    await author.put("T", "b", term("T.p", "x"))
    await author.put("T", "a")
    assert await order(store) == ["d", "a", "c", "b"]
    await author.delete("T", "c")
    assert await order(store) == ["d", "a", "b"]


async def test_sorting_by_stamp_follows_updates(store: Store, author: Author) -> None:
    for id in ("b", "c", "a"):
        await author.put("T", id)
    await author.put("T", "b")
    assert await order(store, UPDATED) == ["c", "a", "b"]
    assert await order(store, Sort("_lastUpdated", descending=True)) == ["b", "a", "c"]


async def test_sorting_by_id_goes_by_code_points(store: Store, author: Author) -> None:
    for id in ("b", "A", "a", "10", "9", "a-b", "a.b", "B"):
        await author.put("T", id)
    assert await order(store, ID) == ["10", "9", "A", "B", "a", "a-b", "a.b", "b"]
    assert await order(store, Sort("_id", descending=True)) == ["b", "a.b", "a-b", "a", "B", "A", "9", "10"]


@pytest.mark.parametrize("shape", [TERM, TEXT])
async def test_strings_sort_by_code_points_beyond_the_bmp_too(store: Store, author: Author, shape: str) -> None:
    values = {"bmp": "｡", "han": "𠮷", "z": "z", "A": "A", "percent": "%", "empty": "", "long": "zz"}
    for id, value in values.items():
        await author.put("T", id, term("T.p", value) if shape == TERM else text("T.p", value, value))
    up = ["empty", "percent", "A", "z", "long", "bmp", "han"]
    assert await order(store, Sort("T.p", shape)) == up
    assert await order(store, Sort("T.p", shape, descending=True)) == up[::-1]


async def test_spans_sort_by_their_low_end(store: Store, author: Author) -> None:
    for id, low in {"b": 5, "a": -3, "c": 2**40, "d": -(2**62)}.items():
        await author.put("T", id, span("T.d", low, 2**62))
    assert await order(store, Sort("T.d", SPAN)) == ["d", "a", "b", "c"]
    assert await order(store, Sort("T.d", SPAN, descending=True)) == ["c", "b", "a", "d"]


@pytest.mark.parametrize("shape", [TERM, TEXT, SPAN])
async def test_going_up_takes_the_smallest_value_and_going_down_the_largest(
    store: Store, author: Author, shape: str
) -> None:
    async def put(id: str, *values: int) -> None:
        made = {TERM: lambda n: term("T.p", f"{n}"), TEXT: lambda n: text("T.p", f"{n}")}.get(
            shape, lambda n: span("T.p", n, n + 5)
        )
        await author.put("T", id, *(made(n) for n in values))

    await put("wide", 1, 5, 9)
    await put("middle", 4, 6)
    await put("low", 2)
    assert await order(store, Sort("T.p", shape)) == ["wide", "low", "middle"]
    assert await order(store, Sort("T.p", shape, descending=True)) == ["wide", "middle", "low"]


@pytest.mark.parametrize("shape", [TERM, TEXT, SPAN])
async def test_missing_values_come_last_in_both_directions(store: Store, author: Author, shape: str) -> None:
    entries = {TERM: term("T.p", "a"), TEXT: text("T.p", "a"), SPAN: span("T.p", 1, 1)}
    for id in ("none1", "has1", "none2", "has2", "none3"):
        # the other shapes of the same parameter do not count
        own = [entry for of, entry in entries.items() if (of == shape) == id.startswith("has")]
        await author.put("T", id, *own)
    expected = ["has2", "has1", "none3", "none2", "none1"]
    for limit in (1, 2, 3, 4, 5):
        assert await order(store, Sort("T.p", shape), limit=limit) == expected
        assert await order(store, Sort("T.p", shape, descending=True), limit=limit) == expected


async def test_an_update_changes_the_place_in_a_sort(store: Store, author: Author) -> None:
    for n in range(4):
        await author.put("T", f"{n}", term("T.p", f"{n}"), term("T.p", f"{n}x"))
    await author.put("T", "0", term("T.p", "9"))
    assert await order(store, Sort("T.p", TERM)) == ["1", "2", "3", "0"]
    await author.put("T", "1")
    assert await order(store, Sort("T.p", TERM)) == ["2", "3", "0", "1"]
    assert await order(store, Sort("T.p", TERM, True)) == ["0", "3", "2", "1"]


@pytest.mark.parametrize("downs", list(itertools.product([False, True], repeat=3)))
async def test_three_sort_keys_with_missing_values_page_as_they_sort(
    store: Store, author: Author, downs: tuple[bool, bool, bool]
) -> None:
    rows: dict[str, tuple[str | None, int | None, str | None]] = {}
    for n, row in enumerate(itertools.product(["a", "b", None], [1, 2, None], ["x", None])):
        id = f"{n * 7 % 18:02}"
        rows[id] = row
        p, d, q = row
        entries = [
            *([term("T.p", p)] if p else []),
            *([span("T.d", d, d)] if d else []),
            *([text("T.q", q)] if q else []),
        ]
        await author.put("T", id, *entries)
    sorts = (Sort("T.p", TERM, downs[0]), Sort("T.d", SPAN, downs[1]), Sort("T.q", TEXT, downs[2]))
    expected = list(rows)[::-1]
    for n in (2, 1, 0):
        having = [id for id in expected if rows[id][n] is not None]
        having.sort(key=lambda id: rows[id][n], reverse=downs[n])  # type: ignore[arg-type,return-value]
        expected = having + [id for id in expected if rows[id][n] is None]
    for limit in (1, 4, 7):
        assert await order(store, *sorts, limit=limit) == expected


async def test_sorting_hits_of_a_test_pages_only_the_hits(store: Store, author: Author) -> None:
    for n in range(20):
        await author.put("T", f"{n:02}", term("T.kind", "odd" if n % 2 else "even"), term("T.p", f"{n % 5}"))
    test = Any((Term("T.kind", "odd"), Not(Any((Term("T.kind", "even"), Term("T.kind", "odd"))))))
    found = await pages(store, Select("T", test, (Sort("T.p", TERM), ID), limit=3))
    expected = sorted((f"{n:02}" for n in range(1, 20, 2)), key=lambda id: (int(id) % 5, id))
    assert ids_of(found) == expected
    assert await store.count("T", test) == len(expected)


async def test_the_last_page_has_no_cursor(store: Store, author: Author) -> None:
    await author.commit(*(author.write("T", f"{n}") for n in range(6)))
    assert (await store.select(Select("T", limit=6))).next is None
    assert (await store.select(Select("T", limit=7))).next is None
    five = await store.select(Select("T", limit=5))
    assert five.next is not None
    last = await store.select(Select("T", after=five.next, limit=5))
    assert (len(last.versions), last.next) == (1, None)
    assert [len(page.versions) for page in await pages(store, Select("T", limit=3))] == [3, 3]


async def test_a_cursor_holds_plain_values(store: Store, author: Author) -> None:
    await author.commit(*(author.write("T", f"{n}", term("T.p", "a"), span("T.d", 1, 2)) for n in range(2)))
    sorts = (Sort("T.p", TERM), Sort("T.none", TEXT), Sort("T.d", SPAN), UPDATED, ID)
    page = await store.select(Select("T", All(), sorts, limit=1))
    assert page.next is not None
    hit = page.versions[0]
    assert page.next[:-1] == ("a", None, 1, hit.stamp, hit.id)
    assert [type(value) for value in page.next] == [str, type(None), int, int, str, int]


@pytest.mark.parametrize(
    ("sorts", "after"),
    [
        ((), ()),
        ((), ("a", 1)),
        ((), (1, 2)),
        ((ID,), (1,)),
        ((ID,), ("a", "b", 1)),
        ((UPDATED, ID), (1, 2)),
    ],
)
async def test_a_cursor_for_other_sorts_is_invalid(
    store: Store, author: Author, sorts: tuple[Sort, ...], after: Cursor
) -> None:
    await author.put("T", "1")
    with pytest.raises(Invalid):
        await store.select(Select("T", All(), sorts, after=after))


@pytest.mark.parametrize(
    ("sort", "value"),
    [(ID, 1), (ID, None), (UPDATED, "a"), (UPDATED, None), (Sort("T.p", TERM), 1), (Sort("T.d", SPAN), "a")],
)
async def test_a_cursor_whose_values_have_other_types_is_invalid(
    store: Store, author: Author, sort: Sort, value: str | int | None
) -> None:
    for id in ("1", "2"):
        await author.put("T", id, term("T.p", "a"), span("T.d", 1, 2))
    page = await store.select(Select("T", All(), (sort,), limit=1))
    assert page.next is not None
    with pytest.raises(Invalid):
        await store.select(Select("T", All(), (sort,), after=(value, page.next[-1])))
    with pytest.raises(Invalid):
        await store.select(Select("T", All(), (sort,), after=(page.next[0], "x")))


async def test_what_has_no_order_cannot_be_sorted_by(store: Store, author: Author) -> None:
    await author.put("T", "1", link("T.l", "Patient/1"))
    for sort in (Sort("T.l", LINK), Sort("_other")):
        with pytest.raises(Invalid):
            await store.select(Select("T", All(), (sort,)))


@pytest.mark.parametrize("sorts", [(), (ID,), (Sort("T.p", TERM),), (Sort("T.p", TERM, True), ID)], ids=str)
async def test_pages_neither_repeat_nor_miss_while_four_others_write(
    store: Store, author: Author, sorts: tuple[Sort, ...]
) -> None:
    """What was there before the first page and keeps its sort values is met once; the others at most once."""
    old = [f"old{n:03}" for n in range(60)]
    await author.commit(*(author.write("T", id, term("T.p", f"{n % 7}")) for n, id in enumerate(old)))
    rounds, most = [0, 0, 0, 0], 0
    ended = asyncio.Event()

    async def write(writer: int) -> None:
        while not ended.is_set():
            done = rounds[writer]
            if done >= most:  # or writers who are faster than the reader would make pages for ever
                await asyncio.sleep(0.001)
                continue
            mine = old[writer::4][done % 15]
            await author.put("T", mine, term("T.p", f"{old.index(mine) % 7}"), term("T.other", f"{done}"))
            await author.put("T", f"new{writer}-{done}", term("T.p", f"{done % 7}"))
            if done % 3 == 0:
                await author.delete("T", f"new{writer}-{done}")
            rounds[writer] += 1

    writers = [asyncio.create_task(write(n)) for n in range(4)]
    try:
        for limit in (3, 7, 20):
            before, most, met = sum(rounds), most + 30, []
            select = Select("T", All(), sorts, limit=limit)
            while True:
                page = await store.select(select)
                met += ids_of([page])
                if page.next is None:
                    break
                select = Select("T", All(), sorts, after=page.next, limit=limit)
                seen = sum(rounds)
                while sum(rounds) == seen and min(rounds) < most:  # something is written between two pages
                    await asyncio.sleep(0.001)
            assert len(met) == len(set(met))
            assert set(old) <= set(met)
            assert sum(rounds) > before
    finally:
        ended.set()
        await asyncio.gather(*writers)
    assert min(rounds) > 0
    assert await store.count("T", All()) == len(ids_of(await pages(store, Select("T", All(), sorts, limit=50))))
