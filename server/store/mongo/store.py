"""The MongoDB store: the port's calls over the declared collections (README.md; layout in documents.py, index.py).

mongomotor manages, pymongo moves the bytes: everything here runs on the raw collections of the documents.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import orjson

from server.errors import Unavailable
from server.keys import Adoption, Change, Holding, Page, Reentry, Removal, Select, Test, Version, Write
from server.store.explained import EXPLAINS, Explained, shape
from server.store.mongo import index, plan
from server.store.mongo.commit import Committer
from server.store.mongo.connection import Connection, connect, reaching
from server.store.mongo.joins import Joins
from server.store.mongo.limits import FEW
from server.store.mongo.translate import cursor_at, filter_of, keys_of, phases
from server.store.mongo.writers import Writers
from server.store.port import MULTI_PROCESS, PLANS, QUERY_TIMEOUT

Document = dict[str, Any]
T = TypeVar("T")
_HIT = {"v": 1, "u": 1, "c": 1, "m": 1, "b": 1}


class MongoStore:
    """Belongs to the event loop it was opened in."""

    name = "mongodb"

    def __init__(self, connection: Connection, writers: Writers, query_timeout: float = QUERY_TIMEOUT) -> None:
        self.abilities = frozenset({MULTI_PROCESS, EXPLAINS, *({PLANS} if connection.plans else ())})
        self._connection = connection
        self._most = query_timeout
        self._writers = writers
        self._committer = Committer(connection, writers)
        self._res = connection.documents["res"]._get_collection()
        self._hist = connection.documents["hist"]._get_collection()
        self._joins = Joins(self._run)
        self._claims = connection.documents["claims"]._get_collection()
        self._commits: set[asyncio.Task[Any]] = set()
        self._closing = False

    # ------------------------------------------------------------------------------------------------ writing
    async def commit(self, writes: Sequence[Write]) -> list[Version]:
        self._check_open()
        return await self._to_its_end(self._committer.commit(writes)) if writes else []

    async def expunge(self, removals: Sequence[Removal], writes: Sequence[Write] = ()) -> list[Version]:
        self._check_open()
        return await self._to_its_end(self._committer.expunge(removals, writes)) if removals or writes else []

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """In a task of its own: a caller that goes away does not leave a transaction half sent."""
        task = asyncio.create_task(work)
        self._commits.add(task)
        task.add_done_callback(self._commits.discard)
        return await asyncio.shield(task)

    async def adopt(self, adoptions: Sequence[Adoption], holdings: Sequence[Holding] = ()) -> None:
        self._check_open()
        with reaching():
            await self._writers.check_alone()
        if adoptions or holdings:
            await self._to_its_end(self._committer.adopt(adoptions, holdings))

    async def reindex(self, entries: Sequence[Reentry]) -> int:
        self._check_open()
        updates = [
            plan.reentry(entry.type, entry.id, entry.version, index.fields(entry.type, entry.after))
            for entry in entries
        ]
        if not updates:
            return 0
        with reaching():
            return int((await self._res.bulk_write(updates, ordered=False)).matched_count)

    # ------------------------------------------------------------------------------------------------ reading
    async def get(self, type: str, id: str, version: int | None = None) -> Version | None:
        self._check_open()
        rid = f"{type}/{id}"
        with reaching():
            if version is None:
                found = await self._res.find_one({"_id": rid}, _HIT)
            else:
                found = await self._hist.find_one({"_id": f"{rid}/{version}"}, _HIT)
        return _version(type, id, found) if found else None

    async def select(self, select: Select) -> Page:
        self._check_open()
        hits: dict[str, Document] = {}
        wanted = select.limit + 1  # one more tells whether there is a next page
        columns = {**_HIT, **{key.path: 1 for key in keys_of(select) if key.path not in ("_id", "u")}}
        with reaching(self._most):
            test = await self._joins.resolved(select.test, select.type)
            for stages in phases(replace(select, test=test)):
                # a resource that is written between two phases may stand in both: the first one counts
                for document in await self._run([*stages, {"$limit": wanted}, {"$project": columns}], wanted):
                    hits.setdefault(document["_id"], document)
                if len(hits) >= wanted:
                    break
        page = list(hits.values())[: select.limit]
        versions = [_version(select.type, hit["_id"].partition("/")[2], hit) for hit in page]
        return Page(versions, cursor_at(select, page[-1]) if page and len(hits) > select.limit else None)

    async def explain(self, select: Select) -> Explained:
        """The server's own plan is left out: it repeats the values."""
        self._check_open()
        with reaching(self._most):
            test = await self._joins.resolved(select.test, select.type)
            where = filter_of(select.type, test)
            lead = next(iter(where))
            rows = None if lead == "t" else await self._res.count_documents({lead: where[lead]}, limit=FEW + 1)
        stages = [shape(stages) for stages in phases(replace(select, test=test))]
        statement = orjson.dumps(stages).decode()
        return Explained("" if lead == "t" else f"{lead} {shape(where[lead])}", rows, FEW, statement, [])

    async def _run(self, stages: list[Document], most: int) -> list[Document]:
        """All in one batch: a second round trip costs more than the hits."""
        async with await self._res.aggregate(stages, batchSize=most) as found:
            return [document async for document in found]

    async def count(self, type: str, test: Test) -> int:
        self._check_open()
        with reaching(self._most):
            plain = await self._joins.resolved(test, type)
            return int(await self._res.count_documents(filter_of(type, plain)))

    async def history(self, type: str | None, id: str | None, before: int | None, limit: int) -> list[Version]:
        self._check_open()
        if limit < 1:  # MongoDB takes 0 as "all"
            return []
        where: Document = {} if type is None else {"t": type}
        order = ("u", -1)
        if type is not None and id is not None:
            where, order = {"rid": f"{type}/{id}"}, ("v", -1)  # the same order: a resource's stamps grow
        if before is not None:
            where["u"] = {"$lt": before}
        with reaching(self._most):
            async with self._hist.find(where, {**_HIT, "rid": 1}, sort=[order], limit=limit) as found:
                return [_version(*_type_and_id(document), document) async for document in found]

    async def changes(self, after: int, limit: int) -> list[Change]:
        self._check_open()
        if limit < 1:
            return []
        columns = {"u": 1, "rid": 1, "v": 1, "m": 1, "_id": 0}
        with reaching():
            where = {"u": {"$gt": after, "$lte": await self._writers.horizon()}}
            async with self._hist.find(where, columns, sort=[("u", 1)], limit=limit) as found:
                lines = [document async for document in found]
        return [Change(int(line["u"]), *_type_and_id(line), int(line["v"]), line["m"]) for line in lines]

    async def holdings(self, after: str, limit: int) -> list[Holding]:
        self._check_open()
        if limit < 1:
            return []
        with reaching():
            async with self._claims.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=limit) as found:
                return [Holding(document["_id"], document["rid"]) async for document in found]

    # ------------------------------------------------------------------------------------------------ closing
    async def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        await asyncio.gather(*self._commits, return_exceptions=True)
        try:
            await self._writers.close()
        finally:
            await self._connection.close()

    def _check_open(self) -> None:
        if self._closing:
            raise Unavailable("the store is closing")


def _type_and_id(document: Document) -> tuple[str, str]:
    type, _, id = document["rid"].partition("/")
    return type, id


def _version(type: str, id: str, document: Document) -> Version:
    # bson gives its own kind of int back: it stays below this line
    return Version(type, id, int(document["v"]), int(document["u"]), document["m"], document["b"])


async def open_mongo(url: str, query_timeout: float = QUERY_TIMEOUT) -> MongoStore:
    """`mongodb://host:port/database[?options]`: a replica set or sharded cluster, MongoDB 7.0 or later.

    Raises Invalid with a sentence to act on, Unavailable when nothing answers.
    """
    connection = await connect(url)
    writers = Writers(connection)
    try:
        await writers.open()
    except BaseException:
        await connection.close()
        raise
    return MongoStore(connection, writers, query_timeout)
