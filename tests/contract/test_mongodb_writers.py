"""MongoDB: writer numbers, commits under faults of the server, and the way of MongoDB 7."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pymongo import AsyncMongoClient

from server.errors import Conflict, Unavailable
from server.keys import All, Claimed, Not, StaleWrite, Term
from server.store.mongo import writers
from server.store.mongo.limits import LEASE, WRITERS
from server.store.mongo.store import MongoStore, open_mongo
from tests import servers
from tests.contract.author import Author, term


@pytest.fixture
async def mongo(mongodb_url: str) -> AsyncIterator[MongoStore]:
    store = await open_mongo(mongodb_url)
    yield store
    await store.close()


def numbers(stamps: list[int]) -> set[int]:
    return {stamp % WRITERS for stamp in stamps}


# ------------------------------------------------------------------------------------------------ leases
async def test_two_writers_have_two_numbers_in_their_stamps(mongodb_url: str, mongo: MongoStore) -> None:
    other = await open_mongo(mongodb_url)
    mine = [(await Author(mongo).put("A", f"{n}")).stamp for n in range(3)]
    theirs = [(await Author(other).put("B", f"{n}")).stamp for n in range(3)]
    await other.close()
    assert (len(numbers(mine)), len(numbers(theirs))) == (1, 1)
    assert numbers(mine) != numbers(theirs)


async def test_a_number_is_free_again_after_closing(mongodb_url: str, mongo: MongoStore) -> None:
    used = set()
    for n in range(3):
        other = await open_mongo(mongodb_url)
        used |= numbers([(await Author(other).put("B", f"{n}")).stamp])
        await other.close()
    assert len(used) == 1


async def test_closing_in_the_middle_of_a_heartbeat_ends(mongodb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "HEARTBEAT", 0.0)  # there is always one under way
    for n in range(20):
        store = await open_mongo(mongodb_url)
        await asyncio.sleep(0.002 * (n % 5))
        async with asyncio.timeout(30):
            await store.close()


async def test_a_writer_that_died_holds_the_feed_back_until_its_lease_is_over(mongo: MongoStore) -> None:
    leases = mongo._writers._leases
    made = await Author(mongo).put("A", "1")
    await leases.insert_one({"_id": 200, "owner": "died", "until": 2**53, "floor": made.stamp - 1})
    assert await mongo.changes(0, 10) == []
    await leases.update_one({"_id": 200}, {"$set": {"until": 5}})
    assert [line.stamp for line in await mongo.changes(0, 10)] == [made.stamp]


async def test_a_number_whose_lease_is_over_is_taken_over_and_one_that_runs_is_not(
    mongodb_url: str, mongo: MongoStore
) -> None:
    leases = mongo._writers._leases
    await leases.insert_one({"_id": 1, "owner": "lives", "until": 2**53, "floor": 2**62})
    await leases.insert_one({"_id": 2, "owner": "died", "until": 5, "floor": 7})
    other = await open_mongo(mongodb_url)
    assert numbers([(await Author(other).put("B", "1")).stamp]) == {2}
    await other.close()
    assert [lease["_id"] async for lease in leases.find({}, sort=[("_id", 1)])] == [0, 1]


async def test_a_new_writer_starts_after_everything_that_was_shown(mongodb_url: str, mongo: MongoStore) -> None:
    """Even when its clock is far behind."""
    ahead = 1 << 61
    mongo._writers._last = ahead  # as if this process's clock ran years ahead
    first = await Author(mongo).put("A", "1")
    assert first.stamp > ahead
    other = await open_mongo(mongodb_url)
    second = await Author(other).put("B", "1")
    await other.close()
    assert second.stamp > first.stamp


async def test_an_update_gets_a_later_stamp_than_what_it_replaces_whatever_the_clocks(mongo: MongoStore) -> None:
    first = await Author(mongo).put("A", "1")
    await mongo._res.update_one({"_id": "A/1"}, {"$set": {"u": first.stamp + (1 << 50)}})
    author = Author(mongo)
    author.seen["A", "1"] = 1
    assert (await author.put("A", "1")).stamp > first.stamp + (1 << 50)


async def test_a_writer_whose_lease_lapsed_neither_commits_nor_reads_changes(mongo: MongoStore) -> None:
    author = Author(mongo)
    await author.put("A", "1")
    mongo._writers._beating.cancel()  # type: ignore[union-attr]
    mongo._writers._renewed = time.monotonic() - LEASE
    with pytest.raises(Unavailable):
        await author.put("A", "2")
    await mongo._writers._leases.update_one({"_id": mongo._writers._number}, {"$set": {"until": 5}})
    with pytest.raises(Unavailable):
        await mongo.changes(0, 10)
    assert await mongo.get("A", "2") is None


async def test_a_writer_whose_number_was_taken_takes_another_and_goes_on(mongo: MongoStore) -> None:
    first = await Author(mongo).put("A", "1")
    lease = {"_id": mongo._writers._number}
    await mongo._writers._leases.update_one(lease, {"$set": {"owner": "other", "until": 2**53, "floor": 2**62}})
    await mongo._writers._renew()
    await mongo._writers._leases.update_one(lease, {"$set": {"until": 5}})  # or it would hold the feed back
    second = await Author(mongo).put("A", "2")
    assert numbers([first.stamp]) != numbers([second.stamp])
    assert second.stamp > first.stamp
    assert [line.stamp for line in await mongo.changes(0, 10)] == [first.stamp, second.stamp]


# --------------------------------------------------------------------------------------- MongoDB 7: no client bulk
async def test_commits_hold_without_the_bulk_command_of_mongodb_8(mongo: MongoStore) -> None:
    mongo._committer._one_command = False
    author = Author(mongo)
    await author.put("A", "1", term("A.p", "x"), claim="c")
    made = await author.commit(
        author.write("A", "0", term("A.p", "y"), claim="d"), author.deletion("A", "1"), author.write("B", "1")
    )
    assert [version.version for version in made] == [1, 2, 1]
    with pytest.raises(StaleWrite):
        await author.commit(author.write("A", "5"), author.write("A", "1", expect=1))
    with pytest.raises(Claimed):
        await author.put("A", "6", claim="d")
    await author.put("A", "7", claim="c")
    assert await author.ids("A", All()) == ["0", "7"]
    assert await author.ids("A", Not(Term("A.p", "y"))) == ["7"]
    race = await asyncio.gather(
        *(mongo.commit([Author(mongo).write("C", "1", claim="e")]) for _ in range(10)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in race) == ["StaleWrite"] * 9 + ["list"]


# ------------------------------------------------------------------------------------------------ faults
@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that can be told to fail (never the one of MONGODB_URL)."""
    with servers.secantusdb(tmp_path_factory.mktemp("faulty"), "--enable-test-commands") as url:
        yield url


class Faults:
    def __init__(self, client: AsyncMongoClient[dict[str, Any]]) -> None:
        self._client = client

    async def fail(self, times: int, command: str, **how: Any) -> None:
        await self._client.admin.command(
            {"configureFailPoint": "failCommand", "mode": {"times": times}, "data": {"failCommands": [command], **how}}
        )


@pytest.fixture
async def faults(faulty: str) -> AsyncIterator[Faults]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(faulty)
    yield Faults(client)
    await client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    await client.close()


@pytest.fixture
async def shaken(faulty: str) -> AsyncIterator[MongoStore]:
    store = await open_mongo(servers.database(faulty, f"faulty_{uuid4().hex}"))
    store._writers._beating.cancel()  # type: ignore[union-attr]  # the faults are for the commits alone
    yield store
    await store.close()


async def assert_written_once(store: MongoStore, id: str) -> None:
    assert [version.version for version in await store.history("A", id, None, 10)] == [1]
    assert await store.count("A", All()) == 1
    assert len(await store.changes(0, 10)) == 1


@pytest.mark.parametrize("command", ["find", "bulkWrite", "insert", "commitTransaction"])
async def test_a_transient_clash_is_tried_again(shaken: MongoStore, faults: Faults, command: str) -> None:
    shaken._committer._one_command = command != "insert"  # MongoDB 7 has a command for each collection
    await faults.fail(3, command, errorCode=112, errorLabels=["TransientTransactionError"])
    await Author(shaken).put("A", "1", term("A.p", "x"), claim="c")
    await assert_written_once(shaken, "1")


async def test_a_commit_of_unknown_outcome_is_repeated_and_written_once(shaken: MongoStore, faults: Faults) -> None:
    await faults.fail(4, "commitTransaction", errorCode=262, errorLabels=["UnknownTransactionCommitResult"])
    await Author(shaken).put("A", "1")
    await assert_written_once(shaken, "1")


@pytest.mark.parametrize("command", ["find", "bulkWrite", "insert", "commitTransaction"])
async def test_a_connection_that_breaks_in_a_commit_is_made_again(
    shaken: MongoStore, faults: Faults, command: str
) -> None:
    shaken._committer._one_command = command != "insert"
    await faults.fail(1, command, closeConnection=True)
    await Author(shaken).put("A", "1")
    await assert_written_once(shaken, "1")


async def test_a_clash_that_does_not_end_is_a_conflict_and_leaves_nothing(
    shaken: MongoStore, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.store.mongo.commit.COMMIT", 0.4)
    await faults.fail(1000, "bulkWrite", errorCode=112, errorLabels=["TransientTransactionError"])
    with pytest.raises(Conflict):
        await Author(shaken).put("A", "1")
    await faults.fail(0, "bulkWrite", errorCode=112)
    assert await shaken.get("A", "1") is None
    assert shaken._writers._commits == {}
    await Author(shaken).put("A", "1")
    await assert_written_once(shaken, "1")


async def test_a_commit_whose_outcome_stays_unknown_says_so_and_holds_the_horizon(
    shaken: MongoStore, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.store.mongo.commit.COMMIT", 0.4)
    first = await Author(shaken).put("A", "0")
    await faults.fail(1000, "commitTransaction", errorCode=262, errorLabels=["UnknownTransactionCommitResult"])
    with pytest.raises(Unavailable, match="read before you repeat"):
        await Author(shaken).put("A", "1")
    await faults.fail(0, "commitTransaction", errorCode=262)
    # it may still become visible: until that is over no later change is shown
    await Author(shaken).put("A", "2")
    assert [line.stamp for line in await shaken.changes(0, 10)] == [first.stamp]


async def test_a_read_that_the_server_cannot_answer_is_unavailable(
    shaken: MongoStore, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.store.mongo.connection.READ", 0.5)
    await faults.fail(1000, "find", closeConnection=True)
    with pytest.raises(Unavailable):
        await shaken.get("A", "1")


async def test_a_store_goes_on_after_its_server_was_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.store.mongo.connection.READ", 0.5)
    port = servers.free_port()
    with servers.secantusdb(tmp_path, port=port) as base:
        store = await open_mongo(servers.database(base, "restarted"))
        first = await Author(store).put("A", "1", term("A.p", "x"))
    with pytest.raises(Unavailable):
        await store.get("A", "1")
    monkeypatch.undo()
    with servers.secantusdb(tmp_path, port=port):
        assert await store.get("A", "1") == first
        second = await Author(store).put("A", "2", term("A.p", "x"))
        assert await Author(store).ids("A", Term("A.p", "x")) == ["1", "2"]
        assert [line.stamp for line in await store.changes(0, 10)] == [first.stamp, second.stamp]
        await store.close()
