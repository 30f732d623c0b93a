"""Contract: versions, stamps, bodies, and commits that are all or nothing."""

import re
import time

import pytest

from server.errors import Conflict, Unavailable
from server.keys import All, Draft, Ids, StaleWrite, Version, Write, instant, milliseconds_of
from server.store.opening import open_store
from server.store.port import Store
from tests.contract.author import Author, draft, link, term

NASTY = bytes(range(256)) + b'{"value":1.00,"long":12345678901234567890.10,"e":1E+2,"z":"\\u6c49","a":1}' + b"\x00\xff"


async def test_what_was_never_there_is_none(store: Store) -> None:
    assert await store.get("Patient", "nobody") is None
    assert await store.get("Patient", "nobody", 1) is None
    assert await store.history("Patient", "nobody", None, 10) == []
    assert await store.changes(0, 10) == []
    assert await store.count("Patient", All()) == 0


async def test_create_update_delete_and_recreate_count_versions_up(store: Store, author: Author) -> None:
    versions = [
        await author.put("Patient", "1"),
        await author.put("Patient", "1"),
        await author.delete("Patient", "1"),
        await author.put("Patient", "1"),
    ]
    assert [v.version for v in versions] == [1, 2, 3, 4]
    assert [v.method for v in versions] == ["POST", "PUT", "DELETE", "PUT"]
    assert [v.deleted for v in versions] == [False, False, True, False]
    assert await store.get("Patient", "1") == versions[3]
    assert [await store.get("Patient", "1", n) for n in (1, 2, 3, 4)] == versions
    assert await store.get("Patient", "1", 5) is None
    assert await store.get("Patient", "1", 0) is None


async def test_the_current_version_of_a_deleted_resource_is_its_deletion(store: Store, author: Author) -> None:
    await author.put("Patient", "1", term("Patient.a", "x"))
    gone = await author.delete("Patient", "1")
    assert await store.get("Patient", "1") == gone
    assert gone.body == b""
    assert gone.deleted
    assert await author.ids("Patient", All()) == []


async def test_the_same_id_in_two_types_is_two_resources(store: Store, author: Author) -> None:
    await author.put("Patient", "1")
    await author.put("Group", "1")
    await author.delete("Group", "1")
    patient = await store.get("Patient", "1")
    assert patient is not None
    assert (patient.version, patient.deleted) == (1, False)


async def test_the_draft_is_filled_with_version_and_stamp(store: Store) -> None:
    made = (await store.commit([Write("POST", "Patient", "1", Draft(b"<", b">"))]))[0]
    assert made.body == b'<"versionId":"1","lastUpdated":"%b">' % instant(made.stamp).encode()
    assert await store.get("Patient", "1") == made
    again = (await store.commit([Write("PUT", "Patient", "1", Draft(b"<", b">"), expect=1)]))[0]
    assert again.body == b'<"versionId":"2","lastUpdated":"%b">' % instant(again.stamp).encode()
    assert re.fullmatch(rb'<"versionId":"2","lastUpdated":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z">', again.body)
    assert await store.get("Patient", "1", 1) == made


async def test_stamps_are_near_the_clock(store: Store, author: Author) -> None:
    before = time.time_ns() // 1_000_000
    made = await author.put("Patient", "1")
    assert before <= milliseconds_of(made.stamp) <= time.time_ns() // 1_000_000 + 1


async def test_stamps_are_unique_and_grow_within_and_across_commits(store: Store, author: Author) -> None:
    stamps: list[int] = []
    for n in range(20):
        # ids fall while stamps must grow: the order is the one given, not the order of ids
        made = await author.commit(*(author.write("Patient", f"{n:02}-{9 - m}") for m in range(10)))
        stamps += [version.stamp for version in made]
        assert [version.id for version in made] == [f"{n:02}-{9 - m}" for m in range(10)]
    assert stamps == sorted(set(stamps))
    assert all(0 < stamp < 2**63 for stamp in stamps)
    assert [change.stamp for change in await store.changes(0, 1000)] == stamps


@pytest.mark.parametrize("rest", [b"", NASTY, "患者𠮷".encode("gb18030"), b"x" * 1_000_000])
async def test_bodies_are_kept_byte_by_byte(store: Store, rest: bytes) -> None:
    made = (await store.commit([Write("POST", "Patient", "1", draft("1", rest))]))[0]
    assert made.body.endswith(rest + b"}")
    found = await store.get("Patient", "1")
    assert found == made
    assert type(found.body) is bytes
    assert await store.get("Patient", "1", 1) == made
    assert await store.history("Patient", "1", None, 1) == [made]
    (second,) = await store.commit([Write("PUT", "Patient", "1", draft("1", b"other"), expect=1)])
    assert await store.get("Patient", "1", 1) == made
    assert await store.get("Patient", "1") == second


async def test_a_commit_of_nothing_writes_nothing(store: Store) -> None:
    assert await store.commit([]) == []
    assert await store.changes(0, 10) == []


@pytest.mark.parametrize("expect", [0, 1, 3])
async def test_a_write_that_expects_another_version_is_stale(store: Store, author: Author, expect: int) -> None:
    await author.put("Patient", "1")
    current = await author.put("Patient", "1")
    with pytest.raises(StaleWrite) as refused:
        await store.commit([Write("PUT", "Patient", "1", draft("1"), expect=expect)])
    assert (refused.value.type, refused.value.id, refused.value.current) == ("Patient", "1", 2)
    assert await store.get("Patient", "1") == current


async def test_a_write_that_expects_a_version_of_what_is_not_there_is_stale(store: Store) -> None:
    with pytest.raises(StaleWrite) as refused:
        await store.commit([Write("PUT", "Patient", "1", draft("1"), expect=1)])
    assert refused.value.current == 0
    assert await store.get("Patient", "1") is None


async def test_a_deletion_counts_as_a_version_for_expectations(store: Store, author: Author) -> None:
    await author.put("Patient", "1")
    await author.delete("Patient", "1")
    for expect in (0, 1):
        with pytest.raises(StaleWrite) as refused:
            await store.commit([Write("PUT", "Patient", "1", draft("1"), expect=expect)])
        assert refused.value.current == 2


async def test_a_stale_deletion_deletes_nothing(store: Store, author: Author) -> None:
    await author.put("Patient", "1")
    current = await author.put("Patient", "1", term("Patient.a", "x"))
    with pytest.raises(StaleWrite):
        await store.commit([Write("DELETE", "Patient", "1", None, expect=1)])
    assert await store.get("Patient", "1") == current
    assert await author.ids("Patient", All()) == ["1"]


async def test_one_stale_write_undoes_the_whole_commit(store: Store, author: Author) -> None:
    kept = await author.put("Patient", "1", term("Patient.a", "old"))
    gone = await author.put("Patient", "2")
    writes = [
        author.write("Patient", "0", term("Patient.a", "new")),
        author.write("Patient", "1", term("Patient.a", "new")),
        author.deletion("Patient", "2"),
        author.write("Patient", "3", expect=7),
        author.write("Patient", "4"),
    ]
    with pytest.raises(StaleWrite) as refused:
        await store.commit(writes)
    assert (refused.value.id, refused.value.current) == ("3", 0)
    assert await store.get("Patient", "0") is None
    assert await store.get("Patient", "1") == kept
    assert await store.get("Patient", "2") == gone
    assert await author.ids("Patient", All()) == ["1", "2"]
    assert [change.stamp for change in await store.changes(0, 10)] == [kept.stamp, gone.stamp]
    assert len(await store.history(None, None, None, 10)) == 2


async def test_the_first_failing_write_is_the_one_named(store: Store, author: Author) -> None:
    for id in ("1", "2"):
        await author.put("Patient", id)
    with pytest.raises(StaleWrite) as refused:
        # in the order given, although ids come the other way round
        await store.commit([Write("PUT", "Patient", id, draft(id), expect=9) for id in ("2", "1")])
    assert refused.value.id == "2"


async def test_the_same_resource_twice_in_one_commit_is_refused(store: Store) -> None:
    with pytest.raises((Conflict, StaleWrite)):
        await store.commit([Write("POST", "Patient", "1", draft("1")), Write("POST", "Patient", "1", draft("1"))])
    assert await store.get("Patient", "1") is None


async def test_a_commit_across_types_and_kinds_of_writes_holds_together(store: Store, author: Author) -> None:
    await author.put("Patient", "1")
    await author.put("Group", "1")
    made = await author.commit(
        author.deletion("Group", "1"),
        author.write("Patient", "1", term("Patient.a", "x")),
        author.write("Observation", "1", link("Observation.subject", "Patient/1")),
    )
    assert [(v.type, v.version, v.method) for v in made] == [
        ("Group", 2, "DELETE"),
        ("Patient", 2, "PUT"),
        ("Observation", 1, "POST"),
    ]
    assert await store.history(None, None, None, 3) == made[::-1]


async def test_five_hundred_writes_go_in_one_commit(store: Store, author: Author) -> None:
    made = await author.commit(*(author.write("Patient", f"{n}", term("Patient.a", f"{n}")) for n in range(500)))
    assert [v.stamp for v in made] == sorted({v.stamp for v in made})
    assert await store.count("Patient", All()) == 500
    assert await author.ids("Patient", Ids(("0", "499", "500"))) == ["0", "499"]


async def test_closing_and_opening_again_keeps_everything(url: str) -> None:
    first = await open_store(url)
    author = Author(first)
    await author.put("Patient", "1", term("Patient.a", "x"), claim="Patient?a=x")
    await author.put("Patient", "1", term("Patient.a", "y"))
    await author.put("Patient", "2")
    await author.delete("Patient", "2")
    history, changes = await first.history(None, None, None, 10), await first.changes(0, 10)
    await first.close()

    second = await open_store(url)
    try:
        author.store = second
        assert await second.history(None, None, None, 10) == history
        assert await second.changes(0, 10) == changes
        assert await author.ids("Patient", All()) == ["1"]
        later = await author.put("Patient", "1")
        assert later.version == 3
        assert later.stamp > changes[-1].stamp
        assert [change.stamp for change in await second.changes(changes[-1].stamp, 10)] == [later.stamp]
    finally:
        await second.close()


async def test_closing_finishes_commits_under_way(url: str) -> None:
    import asyncio

    first = await open_store(url)
    under_way = [
        asyncio.create_task(first.commit([Write("POST", "Patient", f"{n}", draft(f"{n}"))])) for n in range(20)
    ]
    await asyncio.sleep(0)
    await first.close()
    made: list[Version] = [version for versions in await asyncio.gather(*under_way) for version in versions]
    second = await open_store(url)
    try:
        assert [await second.get("Patient", version.id) for version in made] == made
        assert len(made) == 20
    finally:
        await second.close()


async def test_a_closed_store_takes_no_more_commits(url: str) -> None:
    store = await open_store(url)
    await store.close()
    with pytest.raises(Unavailable):
        await store.commit([Write("POST", "Patient", "1", draft("1"))])
