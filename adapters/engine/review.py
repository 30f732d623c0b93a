"""What people ask of a journal: which messages, one of them in full, how things stand; and replaying some."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from adapters.engine.journal_file import JournalFile, used_bytes
from adapters.engine.records import FINAL

_COLUMNS = "id, source, state, kind, key, identity, received, changed, arrivals, reason, field, line, replaced_by"
_REPLAYED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages: all conditions hold; '' , 0 and () do not count. `since` and `until`: when they came."""

    ids: Sequence[int] = ()
    state: str = ""
    source: str = ""
    kind: str = ""
    since: float = 0.0
    until: float = 0.0

    def where(self) -> tuple[str, list[object]]:
        """The condition in SQL, and its values."""
        parts: list[str] = ["1"]
        values: list[object] = []
        if self.ids:
            parts.append(f"id IN ({','.join('?' * len(self.ids))})")
            values += self.ids
        for column, value in (("state", self.state), ("source", self.source), ("kind", self.kind)):
            if value:
                parts.append(f"{column} = ?")
                values.append(value)
        for condition, at in (("received >= ?", self.since), ("received < ?", self.until)):
            if at:
                parts.append(condition)
                values.append(at)
        return " AND ".join(parts), values


def rows(file: JournalFile, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
    """The newest messages, newest first."""
    where, values = wanted.where()
    sql = f"SELECT {_COLUMNS} FROM message WHERE {where} ORDER BY id DESC LIMIT ?"
    return [dict(row) for row in file.read(sql, (*values, limit))]


def message(file: JournalFile, id: int) -> dict[str, Any] | None:
    """All that is known of a message: its row, `content` (name, adapter, broken, bytes) and `deliveries`."""
    found = file.read(f"SELECT {_COLUMNS}, version, part, content FROM message WHERE id = ?", (id,))
    if not found:
        return None
    row = dict(found[0])
    sql = "SELECT name, adapter, broken, length(raw) AS bytes FROM content WHERE id = ?"
    row["content"] = {"id": row["content"], **dict(file.read(sql, (row["content"],))[0])}
    sql = (
        "SELECT destination, state, attempts, due, leased_until, problem, written FROM delivery WHERE message = ?"
        " ORDER BY destination"
    )
    row["deliveries"] = [dict(one) for one in file.read(sql, (id,))]
    return row


def raw(file: JournalFile, content: int) -> bytes:
    """The bytes as they came."""
    return bytes(file.read("SELECT raw FROM content WHERE id = ?", (content,))[0][0])


def status(file: JournalFile, budget_bytes: int) -> dict[str, Any]:
    """Sources with their counts by state and their silence, destinations with what waits for them, bytes and budget."""
    counts: dict[str, dict[str, int]] = {}
    for row in file.read("SELECT source, state, count(*) AS n FROM message GROUP BY source, state"):
        counts.setdefault(row["source"], {})[row["state"]] = row["n"]
    sources = [
        {**dict(row), "messages": counts.pop(row["name"], {})}
        for row in file.read("SELECT name, kind, silence_after, last, silent_since FROM source ORDER BY name")
    ]
    sql = (
        "SELECT name, url, failures, paused_until, problem, last_stored, (SELECT count(*) FROM delivery d WHERE"
        " d.destination = name AND d.state = 'waiting') AS waiting FROM destination ORDER BY name"
    )
    destinations = [dict(row) for row in file.read(sql)]
    used = file.submit(used_bytes).result()
    return {"sources": sources, "destinations": destinations, "bytes": used, "budget": budget_bytes}


def replay(file: JournalFile, wanted: Wanted, now: float, *, force: bool = False) -> list[int]:
    """Messages that have come to an end are mapped and delivered once more; which. What a destination has already, as
    it would be made today, is not sent to it, unless `force`. Those that wait are due at once."""
    where, values = wanted.where()
    ids = [row[0] for row in file.read(f"SELECT id FROM message WHERE {where} ORDER BY id", values)]
    for at in range(0, len(ids), _REPLAYED_AT_ONCE):
        file.submit(partial(_replay, ids=ids[at : at + _REPLAYED_AT_ONCE], now=now, force=force), durable=True).result()
    return ids


def unfinished(file: JournalFile, ids: Sequence[int]) -> int:
    """How many of the messages are not mapped yet, or wait for a destination."""
    left = 0
    for at in range(0, len(ids), _REPLAYED_AT_ONCE):
        some = ids[at : at + _REPLAYED_AT_ONCE]
        sql = (
            f"SELECT count(*) FROM message m WHERE id IN ({','.join('?' * len(some))}) AND (state = 'received' OR"
            " EXISTS (SELECT 1 FROM delivery d WHERE d.message = m.id AND d.state = 'waiting'))"
        )
        left += file.read(sql, some)[0][0]
    return left


def _replay(db: sqlite3.Connection, ids: Sequence[int], now: float, force: bool) -> None:
    ended = ",".join(f"'{state}'" for state in FINAL)
    for id in ids:
        if force:
            db.execute("UPDATE delivery SET digest = NULL WHERE message = ?", (id,))
        sql = "UPDATE message SET state = 'received', changed = ?, replaced_by = NULL WHERE id = ?"
        db.execute(f"{sql} AND state IN ({ended})", (now, id))
        db.execute("UPDATE delivery SET due = 0 WHERE message = ? AND state = 'waiting'", (id,))
