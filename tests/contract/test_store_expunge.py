"""expunge: versions go for good, whoever reads on with a cursor hears of everything, and nothing goes half."""

import asyncio

import pytest

from server.errors import Conflict, Unavailable
from server.keys import All, Removal, StaleWrite, Term, Version
from server.store.opening import open_store
from server.store.port import Store
from tests.contract.author import Author, term


async def three_versions(author: Author, id: str = "1") -> list[Version]:
    return [await author.put("Patient", id, term("Patient.a", key)) for key in ("x", "y", "z")]


async def test_removed_versions_are_gone_from_every_reading_call(store: Store, author: Author) -> None:
    first, second, third = await three_versions(author)
    other = await author.put("Group", "1")
    assert await store.expunge([Removal("Patient", "1", (1, 2))]) == []
    assert await store.get("Patient", "1", 1) is None
    assert await store.get("Patient", "1", 2) is None
    assert await store.get("Patient", "1") == await store.get("Patient", "1", 3) == third
    assert await store.history("Patient", "1", None, 10) == [third]
    assert await store.history("Patient", None, None, 10) == [third]
    assert await store.history(None, None, None, 10) == [other, third]
    assert [change.stamp for change in await store.changes(0, 10)] == [third.stamp, other.stamp]
    assert await author.ids("Patient", Term("Patient.a", "z")) == ["1"]
    assert await author.ids("Patient", Term("Patient.a", "x")) == []
    assert first.stamp < second.stamp < third.stamp


async def test_a_current_version_goes_when_a_write_of_the_same_call_replaces_it(store: Store, author: Author) -> None:
    await author.put("Patient", "1", term("Patient.a", "x"), claim="Patient?a=x")
    await author.put("Patient", "1", term("Patient.a", "y"))
    note = author.write("Basic", "note")
    made = await store.expunge([Removal("Patient", "1", (1, 2))], [author.deletion("Patient", "1"), note])
    assert [(v.type, v.version, v.method) for v in made] == [("Patient", 3, "DELETE"), ("Basic", 1, "POST")]
    assert await store.history(None, None, None, 10) == made[::-1]
    assert await author.ids("Patient", All()) == []
    author.seen["Patient", "1"] = 3
    author.entries.clear()
    again = await author.put("Patient", "2", term("Patient.a", "x"), claim="Patient?a=x")
    assert again.version == 1


async def test_the_number_of_a_version_is_not_given_again(store: Store, author: Author) -> None:
    await three_versions(author)
    await store.expunge([Removal("Patient", "1", (1, 2, 3))], [author.deletion("Patient", "1")])
    author.seen["Patient", "1"], author.entries["Patient", "1"] = 4, ()
    assert (await author.put("Patient", "1", term("Patient.a", "x"))).version == 5
    assert await author.ids("Patient", Term("Patient.a", "x")) == ["1"]


async def test_a_reader_with_a_cursor_hears_of_the_deletion_and_of_all_later_writes(
    store: Store, author: Author
) -> None:
    versions = await three_versions(author)
    made = await store.expunge([Removal("Patient", "1", (1, 2, 3))], [author.deletion("Patient", "1")])
    later = await author.put("Group", "1")
    for cursor in (0, *(version.stamp for version in versions)):
        lines = await store.changes(cursor, 10)
        assert [(line.stamp, line.type, line.version, line.method) for line in lines] == [
            (made[0].stamp, "Patient", 4, "DELETE"),
            (later.stamp, "Group", 1, "POST"),
        ]


@pytest.mark.parametrize("versions", [(3,), (1, 3), (4,), (0,), (1, 9)])
async def test_what_is_current_or_not_there_cannot_be_removed_and_nothing_happens(
    store: Store, author: Author, versions: tuple[int, ...]
) -> None:
    await three_versions(author)
    before = await store.history(None, None, None, 10)
    with pytest.raises(StaleWrite) as stale:
        await store.expunge([Removal("Patient", "1", versions)], [author.write("Basic", "note")])
    assert (stale.value.type, stale.value.id, stale.value.current) == ("Patient", "1", 3)
    with pytest.raises(StaleWrite):
        await store.expunge([Removal("Patient", "nobody", (1,))])
    assert await store.history(None, None, None, 10) == before


async def test_a_write_whose_expectation_fails_removes_nothing(store: Store, author: Author) -> None:
    await three_versions(author)
    with pytest.raises(StaleWrite):
        await store.expunge([Removal("Patient", "1", (1,))], [author.write("Patient", "1", expect=1)])
    with pytest.raises(Conflict):
        await store.expunge([Removal("Patient", "1", (1,))], [author.write("Group", "1"), author.write("Group", "1")])
    assert len(await store.history("Patient", "1", None, 10)) == 3


async def test_of_many_that_remove_the_same_one_does(store: Store, author: Author) -> None:
    await three_versions(author)

    async def remove(number: int) -> bool:
        try:
            await store.expunge([Removal("Patient", "1", (1, 2))], [author.write("Basic", f"note-{number}")])
            return True
        except StaleWrite:
            return False

    assert sum(await asyncio.gather(*(remove(number) for number in range(10)))) == 1
    assert len(await store.history("Basic", None, None, 20)) == 1


async def test_removed_versions_stay_away_when_the_store_is_opened_again(url: str) -> None:
    store = await open_store(url)
    author = Author(store)
    await three_versions(author)
    made = await store.expunge([Removal("Patient", "1", (1, 2, 3))], [author.deletion("Patient", "1")])
    await store.close()
    with pytest.raises(Unavailable):
        await store.expunge([Removal("Patient", "1", (4,))], [])
    again = await open_store(url)
    try:
        assert await again.history("Patient", "1", None, 10) == made
        author.store, author.seen["Patient", "1"] = again, 4
        author.entries.clear()
        assert (await author.put("Patient", "1")).stamp > made[0].stamp
    finally:
        await again.close()
