"""One commit = one multi-document transaction: read, check, write, commit; again from the start after a clash.

https://www.mongodb.com/docs/manual/core/transactions/
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pymongo
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import (
    BulkWriteError,
    ClientBulkWriteException,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from server.errors import Conflict, TooCostly, Unavailable
from server.keys import Adoption, Holding, Removal, Version, Write
from server.store.mongo.connection import Connection
from server.store.mongo.limits import BACKOFF, BACKOFF_MOST, COMMIT, WIRE_CLIENT_BULK
from server.store.mongo.plan import Operation, Plan, State, plan, plan_adoption, plan_expunge
from server.store.mongo.turns import Turns
from server.store.mongo.writers import Writers

_DUPLICATE = 11000
_CLASH = 112
_TOO_LARGE = (10334, 17419, 17420)  # BSONObjectTooLarge and what an update that grows a document says
_SNAPSHOT = ReadConcern("snapshot")
_DURABLE = WriteConcern(w="majority", j=True)


Reading = Callable[[AsyncClientSession], Awaitable[Callable[[], Plan]]]  # reads; what it gives plans, without I/O


class _Unknown(Exception):
    """The server did not say whether it committed."""


class Committer:
    def __init__(self, connection: Connection, writers: Writers) -> None:
        self._client = connection.client
        self._database = connection.database
        self._collections = {name: document._get_collection() for name, document in connection.documents.items()}
        self._one_command = connection.wire >= WIRE_CLIENT_BULK
        self._writers = writers
        self._turns = Turns()

    async def commit(self, writes: Sequence[Write]) -> list[Version]:
        """Raises StaleWrite, Claimed, Conflict (gave up), TooCostly (too large) or Unavailable."""
        ids = [f"{write.type}/{write.id}" for write in writes]
        if len(set(ids)) < len(ids):
            raise Conflict("the same resource is written twice in one transaction")
        async with self._turns.of([*ids, *(f"claim {write.claim}" for write in writes if write.claim)]):

            async def read(session: AsyncClientSession) -> Callable[[], Plan]:
                return partial(plan, writes, await self._read(session, writes), self._writers.stamp)

            return await self._until_done(read)

    async def expunge(self, removals: Sequence[Removal], writes: Sequence[Write]) -> list[Version]:
        """Raises as `commit` does."""
        ids = [f"{write.type}/{write.id}" for write in writes]
        if len(set(ids)) < len(ids):
            raise Conflict("the same resource is written twice in one transaction")
        async with self._turns.of([*ids, *(f"{removal.type}/{removal.id}" for removal in removals)]):

            async def read(session: AsyncClientSession) -> Callable[[], Plan]:
                state = await self._read(session, writes)
                others = await self._found(session, sorted({f"{one.type}/{one.id}" for one in removals}))
                state.current.update(others.current)
                names = [f"{one.type}/{one.id}/{version}" for one in removals for version in one.versions]
                stored = self._collections["hist"].find({"_id": {"$in": names}}, {"_id": 1}, session=session)
                state.stored = {document["_id"] async for document in stored}
                return partial(plan_expunge, removals, writes, state, self._writers.stamp)

            return await self._until_done(read)

    async def adopt(self, adoptions: Sequence[Adoption], holdings: Sequence[Holding]) -> None:
        """Raises StaleWrite, Conflict (also when another process has the database open), TooCostly or Unavailable."""
        ids = {f"{a.version.type}/{a.version.id}" for a in adoptions} | {holding.holder for holding in holdings}

        async def read(session: AsyncClientSession) -> Callable[[], Plan]:
            await self._writers.check_alone()
            state = await self._found(session, sorted(ids))
            newest = await self._collections["hist"].find_one({}, {"u": 1}, sort=[("u", -1)], session=session)
            return partial(plan_adoption, adoptions, holdings, state, int(newest["u"]) if newest else 0)

        for version in await self._until_done(read):
            self._writers.reached(version.stamp)

    async def _until_done(self, read: Reading) -> list[Version]:
        deadline, tries = time.monotonic() + COMMIT, 0
        while True:
            try:
                return await self._try(read, deadline)
            except _Unknown as unknown:
                raise Unavailable("the database did not say whether it committed: read before you repeat") from unknown
            except PyMongoError as wrapped:
                error = _cause(wrapped)
                _raise_final(error)
                if time.monotonic() > deadline - BACKOFF_MOST:
                    raise _gave_up(error, tries) from error
            tries += 1
            await asyncio.sleep(random.uniform(0, min(BACKOFF * 2**tries, BACKOFF_MOST)))

    async def _try(self, read: Reading, deadline: float) -> list[Version]:
        token = object()
        async with self._client.start_session() as session:
            await session.start_transaction(read_concern=_SNAPSHOT, write_concern=_DURABLE)
            try:
                with pymongo.timeout(max(deadline - time.monotonic(), 0.001)):
                    planned = await read(session)
                    self._writers.begin(token)
                    made = planned()
                    await self._write(session, made)
                    await self._finish(session, deadline)
            except _Unknown:
                self._writers.end_later(token)
                raise
            except BaseException:
                if session.in_transaction:
                    with pymongo.timeout(BACKOFF_MOST * 10):  # its own time: an open transaction holds its locks
                        await session.abort_transaction()
                self._writers.end(token)
                raise
            self._writers.end(token)
            return made.versions

    async def _read(self, session: AsyncClientSession, writes: Sequence[Write]) -> State:
        """One query, two with claims; in the transaction's snapshot, so a later change of what was read clashes."""
        ids = [f"{write.type}/{write.id}" for write in writes]
        claims = [write.claim for write in writes if write.claim]
        state = await self._found(session, ids)
        if claims:
            held = self._collections["claims"].find({"_id": {"$in": claims}}, session=session)
            state.holders = {document["_id"]: document["rid"] async for document in held}
        return state

    async def _found(self, session: AsyncClientSession, ids: Sequence[str]) -> State:
        columns = {"v": 1, "u": 1, "c": 1, "x": 1}
        found = self._collections["res"].find({"_id": {"$in": ids}}, columns, session=session)
        return State({document["_id"]: document async for document in found})

    async def _write(self, session: AsyncClientSession, made: Plan) -> None:
        if self._one_command:
            models = [op.make(namespace=f"{self._database}.{op.collection}") for op in made.operations]
            matched = (await self._client.bulk_write(models, session=session)).matched_count
        else:
            matched = 0
            for name, operations in _by_collection(made.operations).items():
                done = await self._collections[name].bulk_write([op.make() for op in operations], session=session)
                matched += done.matched_count
        if made.updates not in (None, matched):  # cannot happen in a snapshot, and must never pass silently
            raise Conflict("the database changed under the transaction")

    async def _finish(self, session: AsyncClientSession, deadline: float) -> None:
        """Commits. While the outcome is unknown only the commit is repeated: it is the same commit to the server."""
        while True:
            try:
                return await session.commit_transaction()
            except PyMongoError as error:
                if not error.has_error_label("UnknownTransactionCommitResult"):
                    raise
                if time.monotonic() > deadline - BACKOFF_MOST:
                    raise _Unknown from error
                await asyncio.sleep(BACKOFF)


def _by_collection(operations: Sequence[Operation]) -> dict[str, list[Operation]]:
    grouped: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        grouped[operation.collection].append(operation)
    return grouped


def _cause(error: PyMongoError) -> PyMongoError:
    """What stopped a bulk command as a whole: the driver wraps it."""
    inner = error.error if isinstance(error, ClientBulkWriteException) else None
    return inner if isinstance(inner, PyMongoError) else error


def _codes(error: PyMongoError) -> set[Any]:
    codes: set[Any] = {error.code} if isinstance(error, OperationFailure) else set()
    if isinstance(error, BulkWriteError | ClientBulkWriteException):
        codes |= {one.get("code") for one in (error.details or {}).get("writeErrors", ())}
    return codes


def _transient(error: PyMongoError) -> bool:
    """Another writer was faster. A duplicate key counts: the next try reads who it was."""
    again = error.has_error_label("TransientTransactionError") or isinstance(error, DuplicateKeyError)
    return again or bool(_codes(error) & {_DUPLICATE, _CLASH})


def _raise_final(error: PyMongoError) -> None:
    """Raises what no further try can mend."""
    if isinstance(error, DocumentTooLarge) or _codes(error) & set(_TOO_LARGE):
        raise TooCostly("a resource with its index entries is larger than MongoDB takes (16 MB)") from error
    if error.timeout and not _transient(error):
        raise Unavailable(f"the database did not finish the commit within {COMMIT:.0f} s") from error
    if not _transient(error) and not isinstance(error, ConnectionFailure):
        raise error


def _gave_up(error: PyMongoError, tries: int) -> Exception:
    if isinstance(error, ConnectionFailure):
        return Unavailable(f"the MongoDB server does not answer: {error}")
    return Conflict(f"other writers were faster {tries + 1} times: try again")
