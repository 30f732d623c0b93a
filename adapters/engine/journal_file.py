"""The journal's SQLite file: its tables, one writing thread with group commit, reading beside it.

Every write is a job: a function that gets the connection. Jobs that wait while a commit is under way go into the next
one together, so many senders share one fsync. A durable job is answered after its bytes are on disk (synchronous=FULL);
a batch of other jobs survives a kill of the process, not a power failure, and is done again after one.
"""

import asyncio
import fcntl
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

BATCH = 256  # jobs in one commit
BUSY_SECONDS = 20.0  # how long another process (`tiercare journal`) may hold the file
KEPT_FREE_PAGES = 2048  # pages of deleted messages that the file keeps for the next ones

LAYOUT = 1  # of the tables below; kept in the file
SCHEMA = """
CREATE TABLE IF NOT EXISTS content (
  id INTEGER PRIMARY KEY, source TEXT NOT NULL, adapter TEXT NOT NULL, name TEXT NOT NULL, broken TEXT NOT NULL,
  raw BLOB NOT NULL, received REAL NOT NULL);
CREATE TABLE IF NOT EXISTS message (
  id INTEGER PRIMARY KEY, content INTEGER NOT NULL, part INTEGER NOT NULL, source TEXT NOT NULL, hash BLOB NOT NULL,
  identity TEXT NOT NULL, sent REAL, state TEXT NOT NULL, kind TEXT NOT NULL DEFAULT '', key TEXT NOT NULL DEFAULT '',
  version TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', field TEXT NOT NULL DEFAULT '', line INTEGER,
  received REAL NOT NULL, changed REAL NOT NULL, replaced_by INTEGER, arrivals INTEGER NOT NULL DEFAULT 1);
CREATE INDEX IF NOT EXISTS message_hash ON message (source, hash);
CREATE INDEX IF NOT EXISTS message_identity ON message (source, identity) WHERE identity <> '';
CREATE INDEX IF NOT EXISTS message_received ON message (id) WHERE state = 'received';
CREATE INDEX IF NOT EXISTS message_state ON message (state, changed);
CREATE INDEX IF NOT EXISTS message_content ON message (content);
CREATE TABLE IF NOT EXISTS delivery (
  message INTEGER NOT NULL, destination TEXT NOT NULL, state TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL DEFAULT 0, leased_until REAL NOT NULL DEFAULT 0,
  token TEXT NOT NULL DEFAULT '', answered REAL, digest BLOB, written TEXT NOT NULL DEFAULT '[]',
  problem TEXT NOT NULL DEFAULT '', PRIMARY KEY (message, destination)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS delivery_waiting ON delivery (destination, message) WHERE state = 'waiting';
CREATE TABLE IF NOT EXISTS turn (
  destination TEXT NOT NULL, key TEXT NOT NULL, message INTEGER NOT NULL,
  PRIMARY KEY (destination, key, message)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS turn_message ON turn (message, destination);
CREATE TRIGGER IF NOT EXISTS turn_over AFTER UPDATE OF state ON delivery WHEN NEW.state <> 'waiting' BEGIN
  DELETE FROM turn WHERE message = NEW.message AND destination = NEW.destination; END;
CREATE TABLE IF NOT EXISTS newest (
  destination TEXT NOT NULL, resource BLOB NOT NULL, at REAL NOT NULL, changed REAL NOT NULL,
  PRIMARY KEY (destination, resource)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS source (
  name TEXT PRIMARY KEY, kind TEXT NOT NULL, silence_after REAL NOT NULL, last REAL NOT NULL,
  watched_since REAL NOT NULL, silent_since REAL);
CREATE TABLE IF NOT EXISTS destination (
  name TEXT PRIMARY KEY, url TEXT NOT NULL, failures INTEGER NOT NULL DEFAULT 0, paused_until REAL NOT NULL DEFAULT 0,
  problem TEXT NOT NULL DEFAULT '', last_stored REAL);
"""


class JournalError(Exception):
    """The journal did not take a write: nothing of it is kept. The text is one plain sentence."""


class JournalFull(JournalError):
    """No room: the disk or the journal's own budget is full."""


@dataclass(slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    durable: bool
    done: "Future[Any]"
    result: Any = None
    error: BaseException | None = None


def connect(path: Path) -> sqlite3.Connection:
    """A connection with the journal's habits. Raises JournalError for a file that cannot be opened or is no journal."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # patients' data: for its owner only; SQLite gives the files beside it the same rights
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only a new file takes it
        connection.execute("PRAGMA journal_mode = WAL")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > LAYOUT:
            connection.close()
            raise JournalError(f"the journal {path} was written by a newer tiercare (layout {found})")
        connection.executescript(f"{SCHEMA} PRAGMA user_version = {LAYOUT};")
    except (sqlite3.Error, OSError) as error:
        raise JournalError(f"the journal {path} cannot be opened: {error}") from None
    return connection


class JournalFile:
    """One open journal. `work` functions run in the writing thread, one after another, each whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing = connect(path)
        self._reading = connect(path)
        self._read_lock = threading.Lock()
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], Any], *, durable: bool = False) -> "Future[Any]":
        """The future of what `work` returns; it is done when the commit is, or raises JournalError."""
        job = _Job(work, durable, Future())
        if self._closed:
            job.done.set_exception(JournalError("the journal is closed"))
        else:
            self._queue.put(job)
        return job.done

    async def write(self, work: Callable[[sqlite3.Connection], Any], *, durable: bool = False) -> Any:
        return await asyncio.wrap_future(self.submit(work, durable=durable))

    def read(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Rows as they were committed last."""
        with self._read_lock:
            if self._closed:
                raise JournalError("the journal is closed")
            try:
                return self._reading.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise JournalError(f"the journal {self.path} cannot be read: {error}") from None

    def close(self) -> None:
        """Waits for the jobs that were handed in."""
        if self._closed:
            return
        with self._read_lock:  # a thread may still be reading
            self._closed = True
            self._reading.close()
        self._queue.put(None)
        self._thread.join()
        self._writing.close()

    # ------------------------------------------------------------------------------------------ the writing thread
    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            jobs, stop = [first], False
            while len(jobs) < BATCH:
                try:
                    job = self._queue.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    stop = True
                    break
                jobs.append(job)
            self._commit(jobs)
            if stop:
                return

    def _commit(self, jobs: list[_Job]) -> None:
        connection, failed = self._writing, None
        try:
            connection.execute(f"PRAGMA synchronous = {'FULL' if any(job.durable for job in jobs) else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                _apply(connection, job)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            failed = _told(error)
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        for job in jobs:
            if not job.done.set_running_or_notify_cancel():
                continue
            if failed is not None or job.error is not None:
                job.done.set_exception(failed or job.error)
            else:
                job.done.set_result(job.result)


def _apply(connection: sqlite3.Connection, job: _Job) -> None:
    """One job whole or not at all. What the file itself refuses (full, broken) ends the batch."""
    connection.execute("SAVEPOINT job")
    try:
        job.result = job.work(connection)
    except sqlite3.Error as error:
        if not isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise
        job.error = error
    except Exception as error:
        job.error = error
    if job.error is not None:
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")


def _told(error: sqlite3.Error) -> JournalError:
    if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
        return JournalFull("the disk that holds the journal is full")
    return JournalError(f"the journal cannot be written: {error}")


def used_bytes(connection: sqlite3.Connection) -> int:
    """What the messages take; pages that purged ones left are free again and do not count."""
    one = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size"))
    pages, free, size = one
    return int((pages - free) * size)


def lock(path: Path) -> IO[bytes] | None:
    """The right to deliver from a journal, as long as the file is open; None when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(path.name + ".lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
