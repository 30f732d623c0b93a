"""MongoDB: what the store refuses at start, and what it says; two stores in one process; closing."""

import gc
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mongoengine import connection as registry
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from server.errors import Invalid, Unavailable
from server.keys import All
from server.store.mongo import documents, limits
from server.store.opening import open_store
from tests import servers
from tests.contract.author import Author, term


@pytest.fixture
async def raw(mongodb_url: str) -> AsyncIterator[AsyncDatabase[dict[str, object]]]:
    """The database as another program sees it."""
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(mongodb_url)
    yield client.get_default_database()
    await client.close()


async def refusal(url: str, kind: type[Invalid] | type[Unavailable] = Invalid) -> str:
    known = set(registry._connections)
    with pytest.raises(kind) as refused:
        await open_store(url)
    assert set(registry._connections) == known, "a refused store leaves no connection behind"
    return str(refused.value)


async def test_a_server_that_stands_alone_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with servers.secantusdb(tmp_path, "--standalone") as base:
        said = await refusal(servers.database(base, "alone"))
    assert "rs.initiate()" in said
    assert "--replSet" in said
    assert "127.0.0.1:" in said


async def test_a_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.store.mongo.connection.SELECTION", 0.3)
    port = servers.free_port()
    said = await refusal(f"mongodb://user:secret@127.0.0.1:{port}/nothing", Unavailable)
    assert f"127.0.0.1:{port}" in said
    assert "rs.initiate()" in said
    assert "secret" not in said


@pytest.mark.parametrize("url", ["mongodb://127.0.0.1:1", "mongodb://127.0.0.1:1/", "mongodb://", "mongodb://h:x/db"])
async def test_a_url_that_is_not_whole_is_refused_with_an_example(url: str) -> None:
    assert "mongodb://host:27017/database" in await refusal(url)


async def test_the_declared_indexes_are_made_and_no_others(
    mongodb_url: str, raw: AsyncDatabase[dict[str, object]]
) -> None:
    await (await open_store(mongodb_url)).close()
    found = {name: set(await raw[name].index_information()) for name in documents.DECLARED}
    assert found["res"] == {"_id_", "k_c", "t_c", "t_u", "r_p_h_l"}
    assert found["hist"] == {"_id_", "rid_v", "u", "t_u"}
    assert found["claims"] == {"_id_", "rid"}
    information = await raw["res"].index_information()
    assert information["k_c"]["key"] == [("k", 1), ("c", -1)]
    assert information["r_p_h_l"]["key"] == [("r.p", 1), ("r.h", 1), ("r.l", 1)]


async def test_an_index_that_is_not_declared_is_refused_by_name(
    mongodb_url: str, raw: AsyncDatabase[dict[str, object]]
) -> None:
    await (await open_store(mongodb_url)).close()
    await raw["res"].create_index([("m", 1)], name="mine")
    said = await refusal(mongodb_url)
    assert "mine" in said
    assert "res" in said
    await raw["res"].drop_index("mine")
    await (await open_store(mongodb_url)).close()


async def test_an_index_of_the_same_name_with_other_fields_is_refused(
    mongodb_url: str, raw: AsyncDatabase[dict[str, object]]
) -> None:
    await raw["res"].create_index([("k", 1)], name="k_c")
    assert "res" in await refusal(mongodb_url)


async def test_a_database_of_another_layout_is_refused(mongodb_url: str, raw: AsyncDatabase[dict[str, object]]) -> None:
    await raw["layout"].insert_one({"_id": "layout", "version": documents.VERSION + 1})
    said = await refusal(mongodb_url)
    assert f"layout {documents.VERSION + 1}" in said
    assert f"needs {documents.VERSION}" in said


async def test_two_stores_in_one_process_keep_their_databases_apart(mongodb: str, mongodb_url: str) -> None:
    first, second = await open_store(mongodb_url), await open_store(mongodb_url + "2")
    await Author(first).put("A", "1", term("A.p", "x"))
    assert await second.get("A", "1") is None
    await first.close()
    made = await Author(second).put("A", "1")  # the first one's end is not the second one's
    assert await second.get("A", "1") == made
    await second.close()


async def test_closing_leaves_nothing_behind(mongodb_url: str) -> None:
    store = await open_store(mongodb_url)
    await Author(store).put("A", "1")
    await store.close()
    assert [name for name in registry._connections if name == store._connection.alias] == []  # type: ignore[attr-defined]
    assert store._connection.alias not in registry._connection_settings  # type: ignore[attr-defined]
    with pytest.raises(Unavailable):
        await store.count("A", All())
    del store
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(warning.message) for warning in heard] == []


def test_every_limit_leaves_room_for_the_next() -> None:
    assert limits.HEARTBEAT * 4 < limits.LEASE - limits.COMMIT
    assert limits.COMMIT < limits.LEASE / 2
    assert 0 < limits.BACKOFF < limits.BACKOFF_MOST < limits.COMMIT
    assert limits.WRITERS & (limits.WRITERS - 1) == 0
