"""The journal's writes while messages run: take, mapped, claim, settle. Each is one job of the journal's file.

Nothing here knows FHIR or HL7. Times are seconds since 1970 and handed in: tests simulate days.
"""

import json
import sqlite3
import uuid
from collections.abc import Mapping, Sequence

from adapters.contract import Problem
from adapters.delivery import Delivery, Written
from adapters.engine.journal_file import JournalFile, JournalFull, used_bytes
from adapters.engine.records import Claim, Facts, Part, Received, Result, Taken

LEASE_SECONDS = 900.0  # longer than the slowest delivery: four requests of 60 s, behind another such


class Journal:
    """`budget_bytes`: what all messages may take; above it nothing is accepted until there is room."""

    def __init__(self, file: JournalFile, budget_bytes: int = 0, lease_seconds: float = LEASE_SECONDS) -> None:
        self.file, self.budget_bytes, self.lease_seconds = file, budget_bytes, lease_seconds

    # --------------------------------------------------------------------------------------------------- taking
    async def take(
        self, source: str, adapter: str, name: str, raw: bytes, broken: str, parts: Sequence[Part], now: float
    ) -> list[Taken]:
        """The parts of a content, safe on disk when this returns. What is there already is not taken again; a dead
        letter that comes again is tried again. Raises JournalError, JournalFull: then nothing of it is kept."""

        def work(db: sqlite3.Connection) -> list[Taken]:
            taken: list[Taken] = []
            content = 0
            for number, part in enumerate(parts):
                known = _known(db, source, part)
                if known is None and not content:
                    content = self._keep(db, source, adapter, name, raw, broken, now)
                taken.append(_again(db, known, now) if known else _insert(db, source, content, number, part, now))
            db.execute("UPDATE source SET last = ?, silent_since = NULL WHERE name = ?", (now, source))
            return taken

        taken: list[Taken] = await self.file.write(work, durable=True)
        return taken

    def _keep(
        self, db: sqlite3.Connection, source: str, adapter: str, name: str, raw: bytes, broken: str, now: float
    ) -> int:
        if self.budget_bytes and used_bytes(db) + len(raw) > self.budget_bytes:
            raise JournalFull(f"the journal holds its {self.budget_bytes} bytes, and nothing of it may be dropped")
        sql = "INSERT INTO content (source, adapter, name, broken, raw, received) VALUES (?, ?, ?, ?, ?, ?)"
        return int(db.execute(sql, (source, adapter, name, broken, raw, now)).lastrowid or 0)

    def received(self, limit: int) -> list[Received]:
        """Messages that wait for their mapping, in the order of their arrival."""
        sql = "SELECT id, source, content, part FROM message WHERE state = 'received' ORDER BY id LIMIT ?"
        return [Received(*row) for row in self.file.read(sql, (limit,))]

    def raw(self, content: int) -> sqlite3.Row:
        """The row of a content: adapter, name, broken, raw, received."""
        return self.file.read("SELECT adapter, name, broken, raw, received FROM content WHERE id = ?", (content,))[0]

    def state(self, message: int) -> str:
        rows = self.file.read("SELECT state FROM message WHERE id = ?", (message,))
        return str(rows[0][0]) if rows else ""

    def find(self, message: int) -> Received:
        sql = "SELECT id, source, content, part FROM message WHERE id = ?"
        return Received(*self.file.read(sql, (message,))[0])

    def under_way(self, message: int) -> bool:
        """Whether a delivery of it waits."""
        return bool(self.file.read("SELECT 1 FROM delivery WHERE message = ? AND state = 'waiting'", (message,)))

    def past(self, message: int) -> Delivery:
        """What its destinations said of a message that has come to its end; nothing of it changes any more."""
        rows = self.file.read("SELECT state, written, problem FROM delivery WHERE message = ?", (message,))
        written = [Written(type, url, "unchanged") for row in rows for type, url, _ in json.loads(row["written"])]
        for row in rows:
            if row["state"] in ("refused", "withdrawn"):
                problems = [Problem("error", "processing", row["problem"])]
                return Delivery("refused" if row["state"] == "refused" else "again", written, problems)
        return Delivery("stored", written)

    # -------------------------------------------------------------------------------------------------- mapping
    async def mapped(self, found: Sequence[Facts], destinations: Mapping[str, Sequence[str]], now: float) -> None:
        """Notes what mapping found, opens a delivery to each of the source's destinations, and lets a correction take
        the place of what it corrects: same sender's name, same kind and key, other content."""

        def work(db: sqlite3.Connection) -> None:
            for facts in found:
                later = _corrections(db, facts, ">")
                state = "dead" if facts.fault else "replaced" if later else "mapped"
                _note(db, facts, state, now, later[0] if later else None)
                if state == "replaced":
                    _drop_deliveries(db, facts.id)
                    continue
                if state == "mapped":
                    for earlier in _corrections(db, facts, "<"):
                        _replace(db, earlier, facts.id, now)
                for destination in destinations.get(facts.source, ()):
                    _await(db, facts, destination)

        await self.file.write(work)

    # ----------------------------------------------------------------------------------------------- delivering
    async def claim(self, destination: str, count: int, now: float) -> list[Claim]:
        """Up to `count` deliveries that are due and are the first of all their keys, leased to the caller."""

        def work(db: sqlite3.Connection) -> list[Claim]:
            rows = db.execute(_DUE, (destination, now, now, count)).fetchall()
            claims = []
            for row in rows:
                token = uuid.uuid4().hex
                sql = "UPDATE delivery SET leased_until = ?, token = ? WHERE message = ? AND destination = ?"
                db.execute(sql, (now + self.lease_seconds, token, row["id"], destination))
                message = Received(row["id"], row["source"], row["content"], row["part"])
                claims.append(Claim(message, destination, row["attempts"], token, row["digest"], row["answered"]))
            return claims

        claims: list[Claim] = await self.file.write(work)
        return claims

    async def release(self) -> int:
        """Ends every lease. For the one process that may deliver, at its start: nobody holds them any more."""

        def work(db: sqlite3.Connection) -> int:
            return db.execute("UPDATE delivery SET leased_until = 0, token = '' WHERE leased_until > 0").rowcount

        return int(await self.file.write(work))

    def newer(self, destination: str, resources: Sequence[tuple[bytes, float]]) -> set[bytes]:
        """Of (resource, latest second its message may be from): those that a later message has written there."""
        sql = "SELECT at FROM newest WHERE destination = ? AND resource = ?"
        found = set()
        for resource, latest in resources:
            rows = self.file.read(sql, (destination, resource))
            if rows and rows[0][0] > latest:
                found.add(resource)
        return found

    async def settle(self, claim: Claim, result: Result, now: float) -> bool:
        """Writes what became of a claim; False when its lease had ended and it is somebody else's by now."""

        def work(db: sqlite3.Connection) -> bool:
            state = {"again": "waiting", "gone": "replaced"}.get(result.state, result.state)
            problem = result.problem.text if result.problem else ""
            written = json.dumps([[one.type, one.url, one.change] for one in result.written], ensure_ascii=False)
            sql = (
                "UPDATE delivery SET state = ?, attempts = attempts + 1, due = ?, leased_until = 0, token = '',"
                " answered = ?, problem = ?, digest = coalesce(?, digest),"
                " written = CASE WHEN ? = '[]' THEN written ELSE ? END"
                " WHERE message = ? AND destination = ? AND token = ? AND state = 'waiting'"
            )
            values = (state, result.due, result.answered, problem, result.digest, written, written)
            if not db.execute(sql, (*values, claim.message.id, claim.destination, claim.token)).rowcount:
                return False
            for resource, at in result.newest:
                sql = (
                    "INSERT INTO newest VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                    " at = max(at, excluded.at), changed = excluded.changed"
                )
                db.execute(sql, (claim.destination, resource, at, now))
            _finish(db, claim.message.id, result, now)
            if result.state == "stored":
                db.execute("UPDATE destination SET last_stored = ? WHERE name = ?", (now, claim.destination))
            return True

        return bool(await self.file.write(work))

    async def withdraw(self, message: int, reason: str, now: float) -> None:
        """A message that its sender keeps: it was told so, because it could not be delivered when it came."""

        def work(db: sqlite3.Connection) -> None:
            sql = "UPDATE delivery SET state = 'withdrawn', problem = ? WHERE message = ? AND state = 'waiting'"
            if db.execute(sql, (reason, message)).rowcount:
                sql = "UPDATE message SET state = 'dead', reason = ?, changed = ? WHERE id = ? AND state <> 'replaced'"
                db.execute(sql, (reason, now, message))

        await self.file.write(work)

    # ---------------------------------------------------------------------------------- sources and destinations
    async def register(
        self, sources: Sequence[tuple[str, str, float]], destinations: Sequence[tuple[str, str]], now: float
    ) -> None:
        """The sources (name, kind, seconds of silence that raise an alarm, 0 = never) and destinations (name, URL)."""

        def work(db: sqlite3.Connection) -> None:
            for name, kind, silence in sources:
                sql = (
                    "INSERT INTO source (name, kind, silence_after, last, watched_since) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET kind = excluded.kind, silence_after = excluded.silence_after,"
                    " watched_since = excluded.watched_since, silent_since = NULL"
                )
                db.execute(sql, (name, kind, silence, now, now))
            for name, url in destinations:
                sql = (
                    "INSERT INTO destination (name, url) VALUES (?, ?) ON CONFLICT DO UPDATE SET"
                    " url = excluded.url, failures = 0, paused_until = 0, problem = ''"
                )
                db.execute(sql, (name, url))

        await self.file.write(work)

    async def silent(self, now: float) -> list[tuple[str, float]]:
        """Sources that have fallen silent since this was asked last, and when their last message came."""

        def work(db: sqlite3.Connection) -> list[tuple[str, float]]:
            sql = (
                "UPDATE source SET silent_since = last"
                " WHERE silence_after > 0 AND silent_since IS NULL AND max(last, watched_since) + silence_after < ?"
                " RETURNING name, last"
            )
            return [(row["name"], row["last"]) for row in db.execute(sql, (now,)).fetchall()]

        found: list[tuple[str, float]] = await self.file.write(work)
        return found

    async def reach(self, destination: str, failures: int, paused_until: float, problem: str) -> None:
        """How a destination does: failures in a row, and until when it is left alone."""

        def work(db: sqlite3.Connection) -> None:
            sql = "UPDATE destination SET failures = ?, paused_until = ?, problem = ? WHERE name = ?"
            db.execute(sql, (failures, paused_until, problem, destination))

        await self.file.write(work)


_DUE = """
SELECT m.id, m.source, m.content, m.part, d.attempts, d.digest, d.answered
FROM delivery d INDEXED BY delivery_waiting JOIN message m ON m.id = d.message
WHERE d.destination = ? AND d.state = 'waiting' AND d.due <= ? AND d.leased_until <= ?
  AND NOT EXISTS (SELECT 1 FROM turn t INDEXED BY turn_message
                  JOIN turn e ON e.destination = t.destination AND e.key = t.key AND e.message < t.message
                  WHERE t.message = d.message AND t.destination = d.destination)
ORDER BY d.message LIMIT ?
"""


def _known(db: sqlite3.Connection, source: str, part: Part) -> sqlite3.Row | None:
    """The message that this one is again. One that was corrected meanwhile counts only when the sender's clock does
    not say that this is the newer of the two: a value may be corrected back."""
    sql = "SELECT id, state, replaced_by FROM message WHERE source = ? AND hash = ? ORDER BY id DESC LIMIT 1"
    row: sqlite3.Row | None = db.execute(sql, (source, part.hash)).fetchone()
    if row is None or row["state"] != "replaced" or row["replaced_by"] is None:
        return row
    sent = db.execute("SELECT sent FROM message WHERE id = ?", (row["replaced_by"],)).fetchone()
    if sent is None or sent[0] is None or part.sent is None or part.sent > sent[0]:
        return None
    return row


def _again(db: sqlite3.Connection, row: sqlite3.Row, now: float) -> Taken:
    dead = row["state"] == "dead"
    sql = "UPDATE message SET arrivals = arrivals + 1 WHERE id = ?"
    db.execute(sql, (row["id"],))
    if dead:
        db.execute("UPDATE message SET state = 'received', changed = ? WHERE id = ?", (now, row["id"]))
    return Taken(row["id"], "received" if dead else row["state"], False)


def _insert(db: sqlite3.Connection, source: str, content: int, number: int, part: Part, now: float) -> Taken:
    sql = (
        "INSERT INTO message (content, part, source, hash, identity, sent, state, received, changed)"
        " VALUES (?, ?, ?, ?, ?, ?, 'received', ?, ?)"
    )
    values = (content, number, source, part.hash, part.identity, part.sent, now, now)
    return Taken(int(db.execute(sql, values).lastrowid or 0), "received", True)


def _corrections(db: sqlite3.Connection, facts: Facts, side: str) -> list[int]:
    """Other versions of a message, before (<) or after (>) it. A number that its sender uses again for another patient
    or another kind of message is no correction."""
    if facts.fault or not facts.key:
        return []
    own = db.execute("SELECT source, identity, hash FROM message WHERE id = ?", (facts.id,)).fetchone()
    if not own["identity"]:
        return []
    sql = (
        "SELECT id FROM message INDEXED BY message_identity WHERE source = ? AND identity = ? AND identity <> ''"
        f" AND id {side} ? AND hash <> ? AND kind = ? AND key = ? AND state IN ('mapped', 'delivered', ?) ORDER BY id"
    )
    also = "dead" if side == "<" else "delivered"
    values = (own["source"], own["identity"], facts.id, own["hash"], facts.kind, facts.key, also)
    return [row[0] for row in db.execute(sql, values).fetchall()]


def _note(db: sqlite3.Connection, facts: Facts, state: str, now: float, replaced_by: int | None) -> None:
    fault = facts.fault
    where = (fault.text, fault.field, fault.line) if fault else ("", "", None)
    sql = (
        "UPDATE message SET state = ?, kind = ?, key = ?, version = ?, reason = ?, field = ?, line = ?, changed = ?,"
        " replaced_by = ? WHERE id = ?"
    )
    db.execute(sql, (state, facts.kind, facts.key, facts.version, *where, now, replaced_by, facts.id))


def _await(db: sqlite3.Connection, facts: Facts, destination: str) -> None:
    """A message waits for a destination, behind all earlier ones of each of its keys."""
    sql = (
        "INSERT INTO delivery (message, destination, state) VALUES (?, ?, 'waiting') ON CONFLICT DO UPDATE"
        " SET state = 'waiting', due = 0, attempts = 0, problem = ''"
    )
    db.execute(sql, (facts.id, destination))
    db.execute("DELETE FROM turn WHERE message = ? AND destination = ?", (facts.id, destination))
    sql = "INSERT INTO turn (destination, key, message) VALUES (?, ?, ?)"
    db.executemany(sql, [(destination, key, facts.id) for key in {facts.key, *facts.keys} if key])


def _replace(db: sqlite3.Connection, message: int, by: int, now: float) -> None:
    """What waits of it is not sent any more; what is under way just now ends first, for its successor waits."""
    sql = "UPDATE message SET state = 'replaced', replaced_by = ?, changed = ? WHERE id = ?"
    db.execute(sql, (by, now, message))
    _drop_deliveries(db, message, now)


def _drop_deliveries(db: sqlite3.Connection, message: int, now: float | None = None) -> None:
    sql = "UPDATE delivery SET state = 'replaced' WHERE message = ? AND state = 'waiting' AND leased_until <= ?"
    db.execute(sql, (message, 1e300 if now is None else now))


def _finish(db: sqlite3.Connection, message: int, result: Result, now: float) -> None:
    """The message's own state after one of its deliveries has come to an end."""
    if result.state in ("refused", "withdrawn") and result.problem is not None:
        problem = result.problem
        sql = "UPDATE message SET state = 'dead', reason = ?, field = ?, line = ?, changed = ? WHERE id = ?"
        sql += " AND state IN ('mapped', 'dead')"
        db.execute(sql, (problem.text, problem.field, problem.line, now, message))
    elif result.state == "stored":
        sql = (
            "UPDATE message SET state = 'delivered', changed = ? WHERE id = ? AND state = 'mapped' AND NOT EXISTS"
            " (SELECT 1 FROM delivery WHERE message = ? AND state IN ('waiting', 'refused', 'withdrawn'))"
        )
        db.execute(sql, (now, message, message))
