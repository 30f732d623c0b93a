"""The write-ahead log of the SQLite store: moved into the file as it grows, and begun anew."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.store.opening import open_store
from server.store.sqlite import writer
from tests.contract.author import Author

KB = 1024
REST = b',"x":"%b"' % (b"x" * 20 * KB)


async def test_the_log_is_moved_as_often_as_it_grows_and_does_not_grow_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, finished = list[int](), list[int]()
    checkpoint = writer._checkpoint

    def counted(path: str) -> None:
        moved.append(1)
        checkpoint(path)
        finished.append(1)

    monkeypatch.setattr(writer, "_checkpoint", counted)
    monkeypatch.setattr(writer, "CHECKPOINT_BYTES", 500 * KB)
    monkeypatch.setattr(writer, "RESTART_BYTES", 4000 * KB)
    store: Any = await open_store(f"sqlite:{tmp_path}")
    try:
        author, log = Author(store), tmp_path / "tiercare.sqlite-wal"
        written, largest = 0, 0
        for n in range(300):
            await author.commit(*(author.write("T", f"{n}-{k}", rest=REST) for k in range(4)))
            while len(finished) < len(moved):
                await asyncio.sleep(0.001)
            written += 80 * KB
            largest = max(largest, log.stat().st_size)
        assert 3 < len(moved) <= written // (500 * KB) + 1
        assert largest < 5500 * KB < written
    finally:
        await store.close()
    again = await open_store(f"sqlite:{tmp_path}")
    try:
        for n in (0, 150, 299):
            found = await again.get("T", f"{n}-3")
            assert found is not None and len(found.body) > 20 * KB
    finally:
        await again.close()
