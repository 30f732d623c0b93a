"""Files as a source: a watched folder whose files are taken one by one, and a file that is written anew now and then.

A file is whole when its size and time have stood still for a moment; names that senders use while they write (`.x`,
`x.tmp`, `x.part` …) are passed over. It is taken by a rename into `.taken/`, which only one can win, and goes to
`done/` when it is safe in the journal. What a crash leaves in `.taken/` is taken up at the next start.
"""

import asyncio
import fnmatch
import logging
import time
from collections.abc import Callable
from pathlib import Path

from adapters.engine.engine import Engine
from adapters.engine.journal_file import JournalError
from adapters.registry import NoAdapter

_log = logging.getLogger(__name__)

UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", ".uploading", "~")
SETTLED_SECONDS = 2.0
FILE_BYTES = 256 * 1024 * 1024
TAKEN, DONE, REFUSED = ".taken", "done", "refused"


class Watched:
    """What has been seen of files: a file is settled when it has not changed for `settled` seconds."""

    def __init__(self, settled: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._settled, self._clock = settled, clock
        self._seen: dict[Path, tuple[tuple[int, int, int], float]] = {}

    def whole(self, path: Path) -> bool:
        """Whether the file stands still since long enough; False for one that is gone."""
        try:
            state = path.stat()
        except OSError:
            self._seen.pop(path, None)
            return False
        now, mark = self._clock(), (state.st_ino, state.st_size, state.st_mtime_ns)
        known = self._seen.get(path)
        if known is None or known[0] != mark:
            self._seen[path] = (mark, now)
            return self._settled <= 0
        return now - known[1] >= self._settled

    def forget(self, path: Path) -> None:
        self._seen.pop(path, None)


class Folder:
    """A watched folder. One process watches a folder; `sweep` is one look at it."""

    def __init__(
        self,
        engine: Engine,
        source: str,
        path: Path,
        pattern: str = "*",
        settled: float = 2.0,
        file_bytes: int = 1 << 28,
    ) -> None:
        self._engine, self._source, self._path, self._pattern, self._max = engine, source, path, pattern, file_bytes
        self._watched = Watched(settled)

    def prepare(self) -> None:
        """Makes the folder and those inside it, and puts back what a crash has left between rename and journal."""
        for name in (TAKEN, DONE, REFUSED):
            (self._path / name).mkdir(parents=True, exist_ok=True)

    async def sweep(self) -> int:
        """Takes every file that is whole, in the order of their names; how many. Raises JournalError: it stays."""
        count = 0
        left = sorted((self._path / TAKEN).iterdir())
        for path in left:
            count += await self._journal(path)
        for path in sorted(self._path.iterdir()):
            if not self._fits(path) or not self._watched.whole(path):
                continue
            self._watched.forget(path)
            taken = _free(self._path / TAKEN / path.name)
            path.rename(taken)
            count += await self._journal(taken)
        return count

    def _fits(self, path: Path) -> bool:
        name = path.name
        unfinished = name.startswith((".", "~")) or name.lower().endswith(UNFINISHED)
        return not unfinished and fnmatch.fnmatch(name, self._pattern) and path.is_file()

    async def _journal(self, taken: Path) -> int:
        """A taken file into the journal, then to where it is out of the way."""
        if taken.stat().st_size > self._max:
            _log.error("folder: %s is longer than %d bytes; it is put into %s", taken.name, self._max, REFUSED)
            taken.rename(_free(self._path / REFUSED / taken.name))
            return 0
        content = await asyncio.to_thread(taken.read_bytes)
        try:
            await self._engine.take(self._source, content, taken.name)
        except NoAdapter as error:
            _log.error("folder: %s: %s", taken.name, error)
            await self._engine.keep(self._source, content, taken.name)
        taken.rename(_free(self._path / DONE / taken.name))
        return 1


class File:
    """One file that its owner writes anew. All of it is read whenever it has changed; rows that were read before are
    known to the journal and change nothing."""

    def __init__(
        self, engine: Engine, source: str, path: Path, settled: float = 2.0, file_bytes: int = 1 << 28
    ) -> None:
        self._engine, self._source, self._path, self._max = engine, source, path, file_bytes
        self._watched = Watched(settled)
        self._read: tuple[int, int, int] | None = None

    def prepare(self) -> None:
        """Nothing: the file may come later."""

    async def sweep(self) -> int:
        """Reads the file if it is whole and has changed; 1 or 0. Raises JournalError: it is read again."""
        if not self._watched.whole(self._path):
            return 0
        before = _mark(self._path)
        if before == self._read:
            return 0
        if before[1] > self._max:
            _log.error("file: %s is longer than %d bytes; it is not read", self._path, self._max)
            self._read = before
            return 0
        content = await asyncio.to_thread(self._path.read_bytes)
        if _mark(self._path) != before:  # somebody writes it just now
            return 0
        try:
            await self._engine.take(self._source, content, self._path.name)
        except NoAdapter as error:
            _log.error("file: %s: %s", self._path, error)
            await self._engine.keep(self._source, content, self._path.name)
        self._read = before
        return 1


async def watch(files: Folder | File, every: float) -> None:
    """Looks again and again until it is cancelled. What cannot be read or journalled now is tried at the next look."""
    while True:
        try:
            await asyncio.to_thread(files.prepare)
            await files.sweep()
        except (OSError, JournalError) as error:
            _log.error("folder: %s", error)
        await asyncio.sleep(every)


def _mark(path: Path) -> tuple[int, int, int]:
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns


def _free(path: Path) -> Path:
    """The path, or one beside it with a number when there is one already."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem}.{number}{path.suffix}")
    return found
