"""Opens and closes one connection: the server's fitness, the database's layout, the declared indexes.

mongomotor is told twice what it does not do by itself (README.md): it connects in a thread, because it also opens a
blocking client to ask for the version, and that second client is closed here at once; indexes are made by hand.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import mongomotor
import pymongo
from mongoengine import connection as registry
from mongoengine.errors import NotUniqueError
from mongomotor.utils import get_sync_alias
from pymongo import AsyncMongoClient
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    InvalidName,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)

from server.errors import Invalid, Unavailable
from server.store.mongo.documents import VERSION, bind
from server.store.mongo.limits import ADMIN, READ, SELECTION, WIRE
from server.store.port import out_of_time

Document = dict[str, Any]
_STAND_INS = ("secantusVersion", "ferretdb")  # buildInfo of servers that speak the protocol but plan otherwise
_connecting = threading.Lock()  # mongomotor patches mongoengine's module state while it connects


@dataclass(frozen=True, slots=True)
class Connection:
    """An open client and its document classes. It belongs to the event loop that first used it."""

    alias: str
    client: AsyncMongoClient[Document]
    database: str
    documents: dict[str, Any]  # by collection name, see documents.py
    wire: int  # protocol version of the server
    plans: bool  # whether query plans of this server mean something

    async def close(self) -> None:
        """Closes the client itself: mongomotor's disconnect needs a loop of its own."""
        await self.client.close()
        _forget(self.alias)


async def connect(url: str) -> Connection:
    """Raises Invalid when the URL, the server or the database does not fit, Unavailable when nothing answers."""
    alias = f"tiercare-{uuid4().hex}"
    _check_url(url)
    try:
        await asyncio.to_thread(_connect, url, alias)
    except (ConnectionFailure, registry.ConnectionFailure) as silent:
        _forget(alias)
        raise Unavailable(_silence(url)) from silent
    except (PyMongoError, ValueError) as refused:
        _forget(alias)
        raise Invalid(f"MongoDB refuses the connection: {refused}") from refused
    client: AsyncMongoClient[Document] = registry.get_connection(alias)
    documents = bind(alias)
    database = registry.get_db(alias).name
    try:
        with reaching(ADMIN):
            wire = _check_server(url, await client.admin.command("hello"))
            build = await client.admin.command("buildInfo")
            await _check_layout(documents)
            for name, document in documents.items():
                await _check_indexes(database, name, document)
    except BaseException:
        await client.close()
        _forget(alias)
        raise
    return Connection(alias, client, database, documents, wire, not any(name in build for name in _STAND_INS))


@contextmanager
def reaching(seconds: float | None = None) -> Iterator[None]:
    """Puts a limit (READ) on the calls inside, on the server as maxTimeMS, and says in our errors what went wrong."""
    seconds = seconds or READ
    try:
        with pymongo.timeout(seconds):
            yield
    except ConnectionFailure as lost:
        raise Unavailable(f"the MongoDB server does not answer: {lost}") from lost
    except ExecutionTimeout as late:
        raise out_of_time(seconds) from late


# ------------------------------------------------------------------------------------------------ connecting
def _check_url(url: str) -> None:
    try:
        named = pymongo.uri_parser.parse_uri(url, validate=True)["database"]
    except (InvalidURI, InvalidName, ConfigurationError, ValueError) as wrong:
        raise Invalid(f"not a MongoDB URL ({wrong}): write mongodb://host:27017/database") from wrong
    if not named:
        raise Invalid("the MongoDB URL names no database: write mongodb://host:27017/database")


def _connect(url: str, alias: str) -> None:
    """Runs in a thread. The name of the alias in `appname` keeps two stores from sharing one client."""
    # without a limit of its own the driver would go on trying until timeoutMS
    with _connecting, pymongo.timeout(SELECTION):
        try:
            mongomotor.connect(
                alias=alias,
                host=url,
                appname=alias,
                serverSelectionTimeoutMS=int(SELECTION * 1000),
                timeoutMS=int(READ * 1000),  # of calls that no `reaching` holds
                w="majority",
                journal=True,
                readConcernLevel="majority",
                readPreference="primary",
            )
        finally:
            blocking = registry._connections.pop(get_sync_alias(alias), None)
            if blocking is not None:
                blocking.close()


def _forget(alias: str) -> None:
    for name in (alias, get_sync_alias(alias)):
        registry._connections.pop(name, None)
        registry._connection_settings.pop(name, None)
        registry._dbs.pop(name, None)
        mongomotor.connection._db_version.pop(name, None)


def _place(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _silence(url: str) -> str:
    return (
        f"no MongoDB answers at {_place(url)} within {SELECTION:.0f} s: start it, and if it was started with "
        "--replSet for the first time, run rs.initiate() once in mongosh"
    )


def _check_server(url: str, hello: dict[str, Any]) -> int:
    """The wire version. A commit is a multi-document transaction: only replica sets and mongos have them."""
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise Invalid(
            f"the MongoDB at {_place(url)} stands alone and has no transactions: restart it with --replSet rs0 and "
            "run rs.initiate() once in mongosh"
        )
    wire = int(hello["maxWireVersion"])
    if wire < WIRE or "logicalSessionTimeoutMinutes" not in hello:
        raise Invalid(f"the MongoDB at {_place(url)} is older than 7.0: upgrade it")
    return wire


# ------------------------------------------------------------------------------------------ layout and indexes
async def _check_layout(documents: dict[str, Any]) -> None:
    layout = documents["layout"]
    found = await layout.objects(pk="layout").first()
    if found is None:
        try:
            # force_insert: save() of a new document with a primary key writes nothing and says nothing
            found = await layout(pk="layout", version=VERSION).save(force_insert=True)
        except NotUniqueError:  # another process was faster
            found = await layout.objects(pk="layout").first()
    if found.version != VERSION:
        raise Invalid(
            f"the database has layout {found.version} and this server needs {VERSION}: "
            "use the server that wrote it, or another database"
        )


async def _check_indexes(database: str, name: str, document: Any) -> None:
    """Makes the declared indexes, then compares: a search without its index would only be slow, for ever."""
    try:
        await document.ensure_indexes()
    except OperationFailure as clash:
        raise Invalid(f"an index of {database}.{name} differs from the declared one ({clash}): drop it") from clash
    declared = {spec["name"]: _shape(spec["fields"], spec) for spec in document._meta["index_specs"]}
    information = await document._get_collection().index_information()
    found = {index: _shape(about["key"], about) for index, about in information.items() if index != "_id_"}
    for index in sorted(declared.keys() | found.keys()):
        if declared.get(index) != found.get(index):
            what = "is not declared" if index not in declared else "is not the declared one"
            raise Invalid(f"the index {index} of {database}.{name} {what}: drop it in mongosh and start again")


def _shape(keys: Any, options: dict[str, Any]) -> tuple[Any, ...]:
    return (
        tuple((field, int(direction)) for field, direction in keys),
        bool(options.get("unique", False)),
        options.get("partialFilterExpression"),
        bool(options.get("sparse", False)),
        options.get("expireAfterSeconds"),
    )
