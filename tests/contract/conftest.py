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


@pytest.fixture(params=["sqlite", "mongodb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind."""
    if request.param == "mongodb":
        return str(request.getfixturevalue("mongodb_url"))
    return f"sqlite://{tmp_path}/store"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = await open_store(url)
    yield opened
    await opened.close()


@pytest.fixture
def author(store: Store) -> Author:
    return Author(store)
