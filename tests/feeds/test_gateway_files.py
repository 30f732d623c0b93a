"""Files as a source of the gateway: taken whole and once, moved when they are safe, taken up again after a crash."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from adapters.delivery import Delivery
from adapters.engine.engine import Engine
from adapters.engine.journal_file import JournalFull
from adapters.listeners.folder import File, Folder, Watched, watch
from adapters.runner import Conversion
from tests.gateways import SOURCE, engine_on


class Server:
    base = "http://fhir.example/fhir"

    def deliver(self, conversion: Conversion) -> Delivery:
        return Delivery("stored")

    def close(self) -> None:
        pass


def adt(number: str, name: str = "Zhang^San") -> bytes:
    return f"MSH|^~\\&|HIS|H|||20260301||ADT^A01|{number}|P|2.4\rPID|1||P{number}^^^H||{name}\r".encode()


def still(folder: Path, **more: Any) -> Any:
    (folder / "state").mkdir()
    return engine_on(folder / "state", Server(), ack="stored", started=False, **more)


def folder_of(engine: Engine, path: Path, **more: Any) -> Folder:
    found = Folder(engine, SOURCE, path, **{"settled": 0.0, **more})
    found.prepare()
    return found


def count(engine: Engine) -> int:
    return int(engine.journal.file.read("SELECT count(*) FROM message")[0][0])


def names(path: Path) -> list[str]:
    return sorted(str(one.relative_to(path)) for one in path.rglob("*") if one.is_file())


async def test_a_file_is_taken_once_and_put_out_of_the_way(tmp_path: Path) -> None:
    async with still(tmp_path) as engine:
        inbox = tmp_path / "in"
        folder = folder_of(engine, inbox)
        (inbox / "two.hl7").write_bytes(adt("1") + adt("2"))
        assert (await folder.sweep(), await folder.sweep()) == (1, 0)
        assert (count(engine), names(inbox)) == (2, ["done/two.hl7"])
        (inbox / "two.hl7").write_bytes(adt("3"))
        await folder.sweep()
        assert (count(engine), names(inbox)) == (3, ["done/two.2.hl7", "done/two.hl7"])
        row = engine.journal.file.read("SELECT name, raw FROM content ORDER BY id")[0]
        assert (row["name"], row["raw"]) == ("two.hl7", adt("1") + adt("2"))


@pytest.mark.parametrize("name", ["x.hl7.tmp", ".x.hl7", "x.hl7.part", "x.filepart", "~x.hl7", "x.txt"])
async def test_unfinished_and_other_files_are_left_alone(tmp_path: Path, name: str) -> None:
    async with still(tmp_path) as engine:
        folder = folder_of(engine, tmp_path / "in", pattern="*.hl7*" if name != "x.txt" else "*.hl7")
        (tmp_path / "in" / name).write_bytes(adt("1"))
        assert await folder.sweep() == 0
        assert names(tmp_path / "in") == [name]


async def test_a_file_that_still_grows_is_not_taken(tmp_path: Path) -> None:
    now = 100.0
    path = tmp_path / "x"
    watched = Watched(5.0, lambda: now)
    assert not watched.whole(path)
    path.write_bytes(b"a")
    assert not watched.whole(path)
    now += 4
    path.write_bytes(b"ab")
    assert not watched.whole(path)
    now += 4
    assert not watched.whole(path)
    now += 2
    assert watched.whole(path)


async def test_a_file_stays_when_the_journal_does_not_take_it_and_is_taken_later(tmp_path: Path) -> None:
    async with still(tmp_path, budget_bytes=1) as engine:
        folder = folder_of(engine, tmp_path / "in")
        (tmp_path / "in" / "x.hl7").write_bytes(adt("1"))
        with pytest.raises(JournalFull):
            await folder.sweep()
        assert names(tmp_path / "in") == [".taken/x.hl7"]
        engine.journal.budget_bytes = 0
        assert await folder.sweep() == 1, "as after a crash between the rename and the journal"
        assert (count(engine), names(tmp_path / "in")) == (1, ["done/x.hl7"])


async def test_a_crash_between_journal_and_move_doubles_nothing(tmp_path: Path) -> None:
    async with still(tmp_path) as engine:
        folder = folder_of(engine, tmp_path / "in")
        (tmp_path / "in" / ".taken" / "x.hl7").write_bytes(adt("1"))
        await engine.take(SOURCE, adt("1"), "x.hl7")
        assert await folder.sweep() == 1
        assert (count(engine), names(tmp_path / "in")) == (1, ["done/x.hl7"])


async def test_what_is_too_long_or_nobody_reads_is_told_and_kept(tmp_path: Path) -> None:
    async with still(tmp_path) as engine:
        folder = folder_of(engine, tmp_path / "in", file_bytes=1000)
        (tmp_path / "in" / "a.bin").write_bytes(b"what is this")
        (tmp_path / "in" / "b.hl7").write_bytes(b"x" * 1001)
        await folder.sweep()
        assert names(tmp_path / "in") == ["done/a.bin", "refused/b.hl7"]
        await engine.map_received()
        (row,) = engine.journal.file.read("SELECT state, reason FROM message")
        assert row["state"] == "dead" and "no adapter recognises a.bin" in row["reason"]


async def test_a_file_that_is_written_anew_brings_only_what_is_new(tmp_path: Path) -> None:
    async with still(tmp_path) as engine:
        path = tmp_path / "export.hl7"
        file = File(engine, SOURCE, path, settled=0.0)
        assert await file.sweep() == 0
        path.write_bytes(adt("1"))
        assert (await file.sweep(), await file.sweep(), count(engine)) == (1, 0, 1)
        path.write_bytes(adt("1") + adt("2"))
        assert (await file.sweep(), count(engine)) == (1, 2)
        assert await File(engine, SOURCE, path, settled=0.0).sweep() == 1, "a new process reads it once more"
        assert count(engine) == 2


async def test_watching_goes_on_after_a_fault(tmp_path: Path) -> None:
    async with still(tmp_path) as engine:
        (tmp_path / "in").write_bytes(b"a file where the folder should be")
        folder = Folder(engine, SOURCE, tmp_path / "in", settled=0.0)
        task = asyncio.create_task(watch(folder, 0.01))
        await asyncio.sleep(0.1)
        (tmp_path / "in").unlink()
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "x.hl7").write_bytes(adt("1"))
        async with asyncio.timeout(10):
            while not count(engine):
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
