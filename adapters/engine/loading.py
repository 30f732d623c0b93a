"""From the journal's bytes to conversions, again whenever they are needed: nothing but the raw content is stored."""

import sqlite3
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

from adapters.contract import Parsed, Problem
from adapters.engine.journal import Journal
from adapters.engine.records import Received
from adapters.kit.habits import Habits, of_source
from adapters.registry import NoAdapter, choose
from adapters.runner import Conversion, convert_one, now, read_broken

CONTENTS = 4  # parsed contents that are remembered: the messages of one batch come one after another
CONVERSIONS = 512

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A message as its source's adapter reads it today; `fault`: no adapter does, so there is nothing to deliver."""

    conversion: Conversion | None
    arrived: float
    fault: Problem | None = None


class Loader:
    """May be used by several threads at a time."""

    def __init__(self, journal: Journal, habits: dict[str, Habits]) -> None:
        self._journal, self._habits = journal, habits
        self._lock = threading.Lock()
        self._contents: OrderedDict[int, list[Parsed]] = OrderedDict()
        self._conversions: OrderedDict[int, Loaded] = OrderedDict()

    def load(self, message: Received, *, anew: bool = False) -> Loaded:
        """The conversion of a message; `anew` does not take a remembered one."""
        with self._lock:
            known = None if anew else self._conversions.get(message.id)
        if known is None:
            row = self._journal.raw(message.content)
            try:
                known = self._load(message, row)
            except Exception as error:  # a mistake in an adapter must not stop the others' messages
                known = Loaded(None, row["received"], broke_off(error))
            with self._lock:
                _remember(self._conversions, message.id, known, CONVERSIONS)
        return known

    def forget(self, message: int) -> None:
        with self._lock:
            self._conversions.pop(message, None)

    def _load(self, message: Received, row: sqlite3.Row) -> Loaded:
        arrived, name, raw = row["received"], row["name"], row["raw"]
        try:
            adapter = choose(raw, name, row["adapter"])
        except NoAdapter as error:
            return Loaded(None, arrived, Problem("fatal", "not-supported", str(error)))
        with of_source(self._habits.get(message.source, Habits())):
            if row["broken"]:
                return Loaded(read_broken(raw, adapter, row["broken"], now()), arrived)
            with self._lock:
                parsed = self._contents.get(message.content)
            if parsed is None:
                parsed = adapter.parse(raw, name)
                with self._lock:
                    _remember(self._contents, message.content, parsed, CONTENTS)
            if message.part >= len(parsed):
                text = f"the adapter finds {len(parsed)} messages in it now, and this one is number {message.part + 1}"
                return Loaded(None, arrived, Problem("fatal", "structure", text))
            return Loaded(convert_one(parsed[message.part], adapter, now()), arrived)


def broke_off(error: Exception) -> Problem:
    """An adapter's own mistake, as what is wrong with the message."""
    return Problem("fatal", "exception", f"the adapter broke off, which is its fault: {type(error).__name__}: {error}")


def _remember(memory: "OrderedDict[int, T]", key: int, value: T, most: int) -> None:
    memory[key] = value
    while len(memory) > most:
        memory.popitem(last=False)
