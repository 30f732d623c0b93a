"""The one writer of a SQLite file: group commit.

Commits queue up; a batch is applied on the event loop (many short statements: a thread would fight for the
interpreter lock at each) and made durable by COMMIT in a thread, while the next batch gathers. What a commit does to
the tables is in changes.py.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from server.errors import Conflict, Unavailable
from server.keys import (
    Adoption,
    Claimed,
    Holding,
    Reentry,
    Removal,
    StaleWrite,
    Version,
    Write,
)
from server.store.sqlite.changes import Changes
from server.store.sqlite.words import Words

BATCH_WRITES = 256  # writes applied before a COMMIT; bounds how long the event loop is held
CHECKPOINT_BYTES = 16 * 2**20  # a passive checkpoint starts when the WAL has grown by this since the last
RESTART_BYTES = 128 * 2**20  # the writer itself helps when the WAL is past this

Work = Callable[[], list[Version]]


class Writer:
    def __init__(self, connection: sqlite3.Connection, words: Words, wal: Path) -> None:
        self._db, self._wal = connection, wal
        self._queue: list[tuple[Work, int, asyncio.Future[list[Version]]]] = []
        self._running: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "tiercare-commit")
        self._checkpointing: asyncio.Future[None] | None = None
        self._checkpointed = 0  # bytes of the WAL when the last checkpoint began
        self._closed = False
        self._changes = Changes(connection, words)

    async def commit(self, writes: Sequence[Write]) -> list[Version]:
        return await self._queued(partial(self._changes.commit, writes), len(writes))

    async def reindex(self, entries: Sequence[Reentry]) -> int:
        return len(await self._queued(partial(self._changes.reenter, entries), len(entries)))

    async def expunge(self, removals: Sequence[Removal], writes: Sequence[Write]) -> list[Version]:
        return await self._queued(partial(self._changes.expunge, removals, writes), len(removals) + len(writes))

    async def adopt(self, adoptions: Sequence[Adoption], holdings: Sequence[Holding]) -> None:
        await self._queued(partial(self._changes.adopt, adoptions, holdings), len(adoptions) + len(holdings))

    async def _queued(self, work: Work, size: int) -> list[Version]:
        if self._closed:
            raise Unavailable("the store is closing")
        future: asyncio.Future[list[Version]] = asyncio.get_running_loop().create_future()
        self._queue.append((work, size, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await future

    async def close(self) -> None:
        self._closed = True
        if self._running is not None:
            await self._running
        if self._checkpointing is not None:
            await self._checkpointing
        self._thread.shutdown()

    # ------------------------------------------------------------------------------------------- batches
    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            results = self._apply_batch()
            try:
                await loop.run_in_executor(self._thread, self._db.execute, "COMMIT")
            except sqlite3.Error as error:
                self._roll_back()
                for future, _ in results:
                    _fail(future, _unavailable(error))
                continue
            for future, result in results:
                if isinstance(result, Exception):
                    _fail(future, result)
                elif not future.done():
                    future.set_result(result)
            self._maybe_checkpoint(loop)

    def _apply_batch(self) -> list[tuple[asyncio.Future[list[Version]], list[Version] | Exception]]:
        """Applies queued commits up to BATCH_WRITES: what to answer to each once the batch is durable.

        A refusal waits for that too. It may speak of a write of this very batch, and whoever is refused reads again:
        before COMMIT a reader does not see that write, would find nothing that matches, and take its claim.
        """
        done: list[tuple[asyncio.Future[list[Version]], list[Version] | Exception]] = []
        self._db.execute("BEGIN IMMEDIATE")
        size = 0
        try:
            while self._queue and size < BATCH_WRITES:
                work, weight, future = self._queue.pop(0)
                try:
                    done.append((future, work()))
                except (StaleWrite, Claimed, Conflict) as refused:
                    done.append((future, refused))
                except BaseException as error:
                    _fail(future, _unavailable(error) if isinstance(error, sqlite3.Error) else error)
                    raise
                size += weight
            self._changes.flush()
        except sqlite3.Error as error:
            self._roll_back()
            for future, _ in done:
                _fail(future, _unavailable(error))
            done = []
            self._db.execute("BEGIN IMMEDIATE")
        except BaseException as error:  # a bug above: nothing of the batch may stay, and nobody may wait for ever
            self._roll_back()
            for future, _ in done:
                _fail(future, error)
            done = []
            self._db.execute("BEGIN IMMEDIATE")
        return done

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self._changes.forget()

    # ------------------------------------------------------------------------------------------ checkpoints
    def _maybe_checkpoint(self, loop: asyncio.AbstractEventLoop) -> None:
        """Moves the WAL into the file off the request path; the writer itself only when it has grown too far.

        A checkpoint of the writer leaves nothing behind unless a reader is in the way, so that the next commit begins
        the WAL anew, which cuts the file (journal_size_limit). It never waits for the reader.
        """
        size = self._wal.stat().st_size if self._wal.exists() else 0
        self._checkpointed = min(self._checkpointed, size)
        if self._checkpointing is not None and not self._checkpointing.done():
            return
        if size > RESTART_BYTES:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        elif size - self._checkpointed > CHECKPOINT_BYTES:
            self._checkpointed = size
            path = str(self._wal).removesuffix("-wal")
            self._checkpointing = loop.run_in_executor(None, _checkpoint, path)


def _checkpoint(path: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    finally:
        connection.close()


def _fail(future: asyncio.Future[list[Version]], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _unavailable(error: BaseException) -> Unavailable:
    return Unavailable(f"the store could not write: {error}")
