"""The stores of the contract suite: every test that asks for `store` runs on each of them.

A test gets a database of its own. Databases are never dropped one by one: the server's folder goes as a whole.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from server.store.opening import open_store
from server.store.port import Store
from tests import servers
from tests.contract.author import Author


@pytest.fixture(scope="session")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a MongoDB server for the whole run."""
    with servers.mongodb(tmp_path_factory.mktemp("mongodb")) as url:
        yield url


@pytest.fixture
def mongodb_url(mongodb: str) -> str:
    """A new database."""
    return servers.database(mongodb, f"contract_{uuid4().hex}")


@pytest.fixture(params=["sqlite", "sqlite, forwarding", "mongodb"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """An empty store of each kind; a forwarding one reads its file itself and writes through the process that may."""
    match request.param:
        case "mongodb":
            yield str(request.getfixturevalue("mongodb_url"))
        case "sqlite":
            yield f"sqlite://{tmp_path}/store"
        case _:
            owner = await open_store(f"sqlite://{tmp_path}/store?relay={tmp_path}/writer")
            yield f"sqlite://{tmp_path}/store?join={tmp_path}/writer"
            await owner.close()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = await open_store(url)
    yield opened
    await opened.close()


@pytest.fixture
def author(store: Store) -> Author:
    return Author(store)
