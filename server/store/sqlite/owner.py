"""What only the writing process has: the file's lock, the writing connection, the writer, and the relay if other
workers forward to it."""

import fcntl
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from server.errors import Invalid
from server.keys import Adoption, Holding, Reentry, Removal, Version, Write
from server.store.sqlite import schema
from server.store.sqlite.words import Words
from server.store.sqlite.writer import Writer

if TYPE_CHECKING:
    from server.store.sqlite.relay import Relay


class Writing(Protocol):
    """How a process writes: itself (Owner), or through the one that does (forward.Forwarder)."""

    async def commit(self, writes: Sequence[Write], /) -> list[Version]: ...

    async def reindex(self, entries: Sequence[Reentry], /) -> int: ...

    async def adopt(self, adoptions: Sequence[Adoption], holdings: Sequence[Holding], /) -> None: ...

    async def expunge(self, removals: Sequence[Removal], writes: Sequence[Write], /) -> list[Version]: ...

    async def close(self) -> None:
        """Finishes writes under way."""
        ...

    def release(self) -> None:
        """Lets go of the file, after all reading connections."""
        ...


class Owner:
    """Raises Invalid when another process writes the file, sqlite3.Error when it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._lock = _only_writer(path)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
        try:
            schema.prepare(self._db)
        except BaseException:
            self._db.close()
            self._lock.close()
            raise
        self.words = Words(self._db)
        self._writer = Writer(self._db, self.words, path.with_name(path.name + "-wal"))
        self._relay: Relay | None = None
        self.commit, self.reindex = self._writer.commit, self._writer.reindex
        self.adopt, self.expunge = self._writer.adopt, self._writer.expunge

    async def relay(self, socket: str) -> None:
        from server.store.sqlite.relay import Relay  # most servers have one process and need no messages

        self._relay = Relay(self._writer)
        await self._relay.open(socket)

    async def close(self) -> None:
        if self._relay is not None:
            await self._relay.close()
        await self._writer.close()

    def release(self) -> None:
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
        self._lock.close()


def _only_writer(path: Path) -> IO[bytes]:
    """The lock of the one process that may write here; a kill frees it. Raises Invalid when another holds it."""
    lock = path.with_name(path.name + ".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as held:
        lock.close()
        raise Invalid(f"another process writes in {path.parent}: stop it, or take another folder") from held
    return lock
