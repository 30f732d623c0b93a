"""What the journal forgets, and when: days for each state, a budget of the disk. Only what is done is ever dropped."""

import logging
import sqlite3
from dataclasses import dataclass, field
from functools import partial

from adapters.engine.journal import Journal
from adapters.engine.journal_file import KEPT_FREE_PAGES, used_bytes
from adapters.engine.records import State

_log = logging.getLogger(__name__)

DAY = 86400.0
DROPPED_AT_ONCE = 500  # messages in one commit: nobody who waits for an answer waits long
ALARM_AT = 0.9  # of the budget
_DISPENSABLE: tuple[State, ...] = ("replaced", "delivered")


@dataclass(frozen=True, slots=True)
class Retention:
    """Seconds that a finished message is kept; 0 = for ever. What is received or mapped is never dropped."""

    keep: dict[State, float] = field(
        default_factory=lambda: {"delivered": 30 * DAY, "replaced": 30 * DAY, "dead": 365 * DAY}
    )


async def tidy(journal: Journal, retention: Retention, now: float) -> int:
    """Drops what is older than its state is kept, then, near the budget's end, the oldest delivered ones; how many."""
    dropped = 0
    for state, seconds in retention.keep.items():
        if seconds:
            dropped += await drop(journal, state, now - seconds)
    oldest = min((seconds for seconds in retention.keep.values() if seconds), default=0.0)
    if oldest:
        await journal.file.write(lambda db: _drop_times(db, now - 2 * oldest))
    if journal.budget_bytes:
        dropped += await _make_room(journal, now)
    await journal.file.write(lambda db: db.execute(f"PRAGMA incremental_vacuum({KEPT_FREE_PAGES})").fetchall())
    return dropped


async def drop(journal: Journal, state: State, before: float, source: str = "", most: int = 0) -> int:
    """Drops messages of a finished state that changed last before a time, oldest first; how many."""
    total = 0
    while True:
        limit = min(DROPPED_AT_ONCE, most - total) if most else DROPPED_AT_ONCE
        count = int(await journal.file.write(partial(_drop, state=state, before=before, source=source, limit=limit)))
        total += count
        if count < DROPPED_AT_ONCE:
            return total


async def _make_room(journal: Journal, now: float) -> int:
    dropped = 0
    for state in _DISPENSABLE:
        while await journal.file.write(used_bytes) > ALARM_AT * journal.budget_bytes:
            count = await drop(journal, state, now, most=DROPPED_AT_ONCE)
            dropped += count
            if not count:
                break
    used = await journal.file.write(used_bytes)
    if used > ALARM_AT * journal.budget_bytes:
        _log.error("ALARM: the journal holds %d of its %d bytes, none of them to spare", used, journal.budget_bytes)
    return dropped


def _drop(db: sqlite3.Connection, state: State, before: float, source: str, limit: int) -> int:
    sql = (
        "SELECT id, content FROM message m WHERE state = ? AND changed < ? AND (? = '' OR source = ?) AND NOT EXISTS"
        " (SELECT 1 FROM delivery d WHERE d.message = m.id AND d.state = 'waiting') ORDER BY changed LIMIT ?"
    )
    rows = db.execute(sql, (state, before, source, source, limit)).fetchall()
    db.executemany("DELETE FROM delivery WHERE message = ?", [(row["id"],) for row in rows])
    db.executemany("DELETE FROM message WHERE id = ?", [(row["id"],) for row in rows])
    sql = "DELETE FROM content WHERE id = ? AND NOT EXISTS (SELECT 1 FROM message WHERE content = ?)"
    db.executemany(sql, [(content, content) for content in {row["content"] for row in rows}])
    return len(rows)


def _drop_times(db: sqlite3.Connection, before: float) -> None:
    """Times of resources that nobody has written for long: messages that old are no longer here to be replayed."""
    db.execute("DELETE FROM newest WHERE changed < ?", (before,))
