"""What all suites share: an app in this process on each store, and marks that keep their resources apart."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests import servers
from tests.client import Fhir

STORES = ("sqlite", "mongodb")
_marks = itertools.count()


@pytest.fixture(scope="session")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a MongoDB server for the whole run."""
    with servers.mongodb(tmp_path_factory.mktemp("mongodb")) as url:
        yield url


@pytest.fixture(scope="session", params=STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """Every test that asks for it, or for a fixture built on it, runs once on each store."""
    return str(request.param)


@pytest.fixture(scope="session")
def store_url(store_kind: str, request: pytest.FixtureRequest) -> str:
    """An empty store of each kind for the session; '' is SQLite in the app's folder."""
    if store_kind == "mongodb":
        return servers.database(request.getfixturevalue("mongodb"), f"suite_{uuid4().hex}")
    return ""


@pytest.fixture(scope="session")
async def fhir(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fhir]:
    """A client of an app on each store, the same app for the whole session: see `mark`."""
    async with servers.in_process(servers.app_on(store_url, tmp_path_factory.mktemp("app"))) as http:
        yield Fhir(http, servers.BASE)


@pytest.fixture(scope="session")
async def face(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fhir]:
    """A client of one app on SQLite, for what does not reach a store: formats, addresses, refusals."""
    async with servers.in_process(servers.app_on("", tmp_path_factory.mktemp("face"))) as http:
        yield Fhir(http, servers.BASE)


@pytest.fixture
async def empty(store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Fhir]:
    """A client of an app on an empty store of each kind, for one test."""
    url = ""
    if store_kind == "mongodb":
        url = servers.database(request.getfixturevalue("mongodb"), f"empty_{uuid4().hex}")
    async with servers.in_process(servers.app_on(url, tmp_path)) as http:
        yield Fhir(http, servers.BASE)


@pytest.fixture
def mark() -> str:
    """A word that no other test's resources carry: part of ids, and a code of `tagged` resources."""
    return f"m{next(_marks)}"
