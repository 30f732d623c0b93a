"""The gateway's engine in the test process: on a folder, with one source and the destinations that a test brings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapters.engine.engine import Engine, Source
from adapters.engine.journal import Journal
from adapters.engine.journal_file import JournalFile
from adapters.engine.lanes import Destination, Retry, Sender

QUICK = Retry(first=0.05, longest=0.2, pause=0.2)
SOURCE = "his"


@asynccontextmanager
async def engine_on(
    folder: Path, *senders: Sender, ack: Any = "committed", started: bool = True, **more: Any
) -> AsyncIterator[Engine]:
    """An engine whose journal is in the folder; its source `his` goes to all senders (`to0`, `to1` …).

    `more`: `budget_bytes`, `lease_seconds`, `retry`, `parallel`, and what a Source or an Engine takes.
    """
    of_journal = {name: more.pop(name) for name in ("budget_bytes", "lease_seconds") if name in more}
    of_lane = {name: more.pop(name) for name in ("retry", "parallel") if name in more}
    of_engine = {name: more.pop(name) for name in ("retention", "clock") if name in more}
    destinations = [
        Destination(f"to{number}", sender, **{"retry": QUICK, **of_lane}) for number, sender in enumerate(senders)
    ]
    source = Source(SOURCE, "test", tuple(one.name for one in destinations), ack, **more)
    file = JournalFile(folder / "journal.sqlite")
    engine = Engine(Journal(file, **of_journal), [source], destinations, **of_engine)
    try:
        await (engine.start() if started else engine.register())
        yield engine
    finally:
        await engine.stop()
        file.close()
