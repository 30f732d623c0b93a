"""The embedded store: one SQLite file, one writing process, reads in the event loop of each worker (design rule 5).

A point read costs 15 microseconds, so it needs no thread. A read that turns out to be long is stopped after
LOOP_BUDGET seconds and run again in a thread, under the query timeout: the event loop is never held by one query.
"""

import asyncio
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from server.errors import Invalid, TooCostly
from server.keys import Adoption, Change, Holding, Page, Reentry, Removal, Select, Test, Version, Write
from server.store.explained import EXPLAINS, Explained, criterion
from server.store.port import MULTI_PROCESS, QUERY_TIMEOUT, out_of_time
from server.store.sqlite import schema
from server.store.sqlite.drivers import FEW
from server.store.sqlite.owner import Owner, Writing
from server.store.sqlite.translate import Translator
from server.store.sqlite.words import SharedWords, Words

LOOP_BUDGET = 0.025  # seconds a read may hold the event loop
_OPS = 2_000  # SQLite instructions between two looks at the clock

FILE = "tiercare.sqlite"
T = TypeVar("T")
_HISTORY = """
SELECT w.text, r.id, l.ver, l.stamp, l.method, CASE l.ver WHEN r.ver THEN r.body ELSE h.body END
FROM log l CROSS JOIN res r ON r.rid=l.rid CROSS JOIN word w ON w.n=r.type
LEFT JOIN hist h ON h.rid=l.rid AND h.ver=l.ver AND l.ver<>r.ver
WHERE l.stamp<? {type} ORDER BY l.stamp DESC LIMIT ?"""


class _Reader:
    """One reading connection with a clock."""

    def __init__(self, path: Path, words: Words) -> None:
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
        for name, value in schema.READER_PRAGMAS.items():
            self.db.execute(f"PRAGMA {name}={value}")
        self.translator = Translator(self.db, words)
        self._deadline = math.inf
        self._row = self.db.cursor()
        self.db.set_progress_handler(self._late, _OPS)

    def row(self, sql: str, *args: object) -> Any:
        """The first row of a query that a key answers, so without a clock; None if there is none."""
        self._deadline = math.inf
        return self._row.execute(sql, args).fetchone()

    def run(self, work: "Callable[[_Reader], T]", seconds: float) -> T:
        """Raises TimeoutError when the work takes longer."""
        self._deadline = time.monotonic() + seconds
        try:
            return work(self)
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise TimeoutError from error
            if "stack overflow" in str(error) or "too deep" in str(error):
                raise TooCostly("the search nests more than can be answered: name the types of its chain") from error
            raise

    def _late(self) -> int:
        return time.monotonic() > self._deadline


class SqliteStore:
    name = "sqlite"

    def __init__(
        self,
        path: Path,
        writing: Writing,
        words: Words,
        abilities: frozenset[str] = frozenset(),
        query_timeout: float = QUERY_TIMEOUT,
    ) -> None:
        self.path, self.abilities, self._most = path, abilities | {EXPLAINS}, query_timeout
        self._writer, self._words = writing, words
        self._reader = _Reader(path, words)
        self._local = threading.local()
        self._slow_readers: list[_Reader] = []
        self._threads = ThreadPoolExecutor(2, "tiercare-read")

    async def _read(self, work: Callable[[_Reader], T]) -> T:
        """On the loop while it is short, else again in a thread; TooCostly past the query timeout."""
        try:
            return self._reader.run(work, min(LOOP_BUDGET, self._most))
        except TimeoutError:
            pass
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._slowly, work)
        except TimeoutError as late:
            raise out_of_time(self._most) from late

    def _slowly(self, work: Callable[[_Reader], T]) -> T:
        reader: _Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = _Reader(self.path, self._words)
            self._slow_readers.append(reader)
        return reader.run(work, self._most)

    # -------------------------------------------------------------------------------------------- the port
    async def get(self, type: str, id: str, version: int | None = None) -> Version | None:
        reader = self._reader
        row = reader.row(
            "SELECT rid, ver, stamp, method, body FROM res WHERE id=? AND type=?",
            id,
            reader.translator.type_number(type),
        )
        if row is None or not row[1]:
            return None
        if version is not None and version != row[1]:
            row = reader.row("SELECT rid, ver, stamp, method, body FROM hist WHERE rid=? AND ver=?", row[0], version)
            if row is None:
                return None
        return Version(type, id, row[1], row[2], row[3], row[4] or b"")

    async def commit(self, writes: Sequence[Write]) -> list[Version]:
        return await self._writer.commit(writes) if writes else []

    async def select(self, select: Select) -> Page:
        def work(reader: _Reader) -> list[Any]:
            sql = reader.translator.select(select)
            return reader.db.execute(sql.text, sql.args).fetchall()

        rows = await self._read(work)
        more = len(rows) > select.limit
        rows = rows[: select.limit]
        versions = [Version(select.type, row[0], row[1], row[2], row[3], row[4]) for row in rows]
        return Page(versions, (*rows[-1][6:], rows[-1][5]) if more and rows else None)

    async def count(self, type: str, test: Test) -> int:
        def work(reader: _Reader) -> int:
            sql = reader.translator.count(type, test)
            return int(reader.db.execute(sql.text, sql.args).fetchone()[0])

        return await self._read(work)

    async def explain(self, select: Select) -> Explained:
        def work(reader: _Reader) -> Explained:
            sql = reader.translator.select(select)
            lead, rows = reader.translator.lead(select)
            steps = reader.db.execute(f"EXPLAIN QUERY PLAN {sql.text}", sql.args).fetchall()
            return Explained(criterion(lead) if lead else "", rows, FEW, sql.text, [step[3] for step in steps])

        return await self._read(work)

    async def history(self, type: str | None, id: str | None, before: int | None, limit: int) -> list[Version]:
        top = before if before is not None else 2**63 - 1

        def work(reader: _Reader) -> list[Any]:
            if id is not None and type is not None:
                return self._instance_history(reader, type, id, top, limit)
            if type is None:
                return reader.db.execute(_HISTORY.format(type=""), (top, limit)).fetchall()
            return reader.db.execute(
                _HISTORY.format(type="AND r.type=?"), (top, reader.translator.type_number(type), limit)
            ).fetchall()

        rows = await self._read(work)
        return [Version(row[0], row[1], row[2], row[3], row[4], row[5] or b"") for row in rows]

    @staticmethod
    def _instance_history(reader: _Reader, type: str, id: str, top: int, limit: int) -> list[Any]:
        current = reader.db.execute(
            "SELECT ?, id, ver, stamp, method, body, rid FROM res WHERE id=? AND type=? AND ver>0",
            (type, id, reader.translator.type_number(type)),
        ).fetchone()
        if current is None:
            return []
        old = reader.db.execute(
            "SELECT ?, ?, ver, stamp, method, body FROM hist WHERE rid=? AND stamp<? ORDER BY ver DESC LIMIT ?",
            (type, id, current[6], top, limit),
        ).fetchall()
        return ([current[:6]] if current[3] < top else [])[:limit] + old[: limit - (current[3] < top)]

    async def changes(self, after: int, limit: int) -> list[Change]:
        rows = await self._read(
            lambda reader: reader.db.execute(
                "SELECT l.stamp, w.text, r.id, l.ver, l.method FROM log l CROSS JOIN res r ON r.rid=l.rid"
                " CROSS JOIN word w ON w.n=r.type WHERE l.stamp>? ORDER BY l.stamp LIMIT ?",
                (after, limit),
            ).fetchall()
        )
        return [Change(*row) for row in rows]

    async def reindex(self, entries: Sequence[Reentry]) -> int:
        return await self._writer.reindex(entries) if entries else 0

    async def expunge(self, removals: Sequence[Removal], writes: Sequence[Write] = ()) -> list[Version]:
        return await self._writer.expunge(removals, writes) if removals or writes else []

    async def adopt(self, adoptions: Sequence[Adoption], holdings: Sequence[Holding] = ()) -> None:
        if adoptions or holdings:
            await self._writer.adopt(adoptions, holdings)

    async def holdings(self, after: str, limit: int) -> list[Holding]:
        rows = await self._read(
            lambda reader: reader.db.execute(
                "SELECT c.key, w.text || '/' || r.id FROM claim c CROSS JOIN res r ON r.rid=c.rid"
                " CROSS JOIN word w ON w.n=r.type WHERE c.key>? ORDER BY c.key LIMIT ?",
                (after, limit),
            ).fetchall()
        )
        return [Holding(*row) for row in rows]

    async def close(self) -> None:
        await self._writer.close()
        self._threads.shutdown()
        for reader in [*self._slow_readers, self._reader]:
            reader.db.close()
        self._writer.release()


async def open_sqlite(url: str, query_timeout: float = QUERY_TIMEOUT) -> SqliteStore:
    """`sqlite:///absolute/folder` or `sqlite:relative/folder`: the file is tiercare.sqlite in that folder.

    Options: `mode=rw` refuses a folder without one. Between the workers of one server, `relay=PATH` writes and takes
    the writes of others over a unix socket, `join=PATH` reads the file itself and forwards writes there.
    """
    parts = urlsplit(url)
    folder, options = Path(unquote(parts.path)), dict(parse_qsl(parts.query))
    path = folder / FILE
    if options.get("mode") == "rw" and not path.exists():
        raise Invalid(f"there is no {FILE} in {folder}")
    try:
        if "join" in options:
            from server.store.sqlite.forward import Forwarder  # most servers have one process and forward nothing

            return SqliteStore(
                path, Forwarder(options["join"]), SharedWords(), frozenset({MULTI_PROCESS}), query_timeout
            )
        folder.mkdir(parents=True, exist_ok=True)
        owner = Owner(path)
        if "relay" in options:
            await owner.relay(options["relay"])
        return SqliteStore(path, owner, owner.words, query_timeout=query_timeout)
    except (OSError, sqlite3.Error) as error:
        raise Invalid(f"cannot keep data in {folder}: {error}") from error
