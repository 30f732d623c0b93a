"""What commits do to the tables of a SQLite file, inside the transaction of their batch.

Rows of the index tables are gathered over the batch and written in one go (`flush`); preconditions are read first, so a
commit that fails has changed nothing.
"""

import sqlite3
from collections.abc import Iterator, Sequence

from server.errors import Conflict
from server.keys import (
    LINK,
    SPAN,
    TERM,
    TEXT,
    WORD,
    Adoption,
    Claimed,
    Entry,
    Holding,
    Reentry,
    Removal,
    StaleWrite,
    Version,
    Write,
    next_stamp,
)
from server.store.sqlite.words import Words, is_local

TARGETS_KEPT = 50_000  # row numbers of link targets remembered: they never change
LONGEST = 2**63 - 1  # no span counts as wider: SQLite's integers end here

_DELETE = {
    "gram": "DELETE FROM gram WHERE p=? AND k=? AND rid=?",
    "tok": "DELETE FROM tok WHERE p=? AND k=? AND rid=? AND sys=? AND rank=?",
    "str": "DELETE FROM str WHERE p=? AND k=? AND rid=? AND raw=? AND rank=?",
    "ref": "DELETE FROM ref WHERE p=? AND k=? AND rid=?",
    "span": "DELETE FROM span WHERE p=? AND k=? AND lo=? AND rid=? AND hi=? AND rank=?",
    "live": "DELETE FROM live WHERE type=? AND rid=?",
    "late": "DELETE FROM late WHERE type=? AND stamp=?",
}
_INSERT = {
    "gram": "INSERT OR REPLACE INTO gram (p, k, rid) VALUES (?,?,?)",
    "tok": "INSERT OR REPLACE INTO tok (p, k, rid, sys, rank) VALUES (?,?,?,?,?)",
    "str": "INSERT OR REPLACE INTO str (p, k, rid, raw, rank) VALUES (?,?,?,?,?)",
    "ref": "INSERT OR REPLACE INTO ref (p, k, rid) VALUES (?,?,?)",
    "span": "INSERT OR REPLACE INTO span (p, k, lo, rid, hi, rank) VALUES (?,?,?,?,?,?)",
    "live": "INSERT OR REPLACE INTO live (type, rid) VALUES (?,?)",
    "late": "INSERT OR REPLACE INTO late (type, stamp, rid) VALUES (?,?,?)",
}
Key = tuple[int | str, ...]
Row = tuple[int | str, ...]


class _Current:
    """The row of a resource as the batch sees it."""

    __slots__ = ("body", "method", "rid", "stamp", "version")

    def __init__(self, rid: int, version: int, stamp: int, method: str, body: bytes | None) -> None:
        self.rid, self.version, self.stamp, self.method, self.body = rid, version, stamp, method, body


class Changes:
    """Those of one writing connection. Every call runs within a transaction that somebody else begins and ends."""

    def __init__(self, connection: sqlite3.Connection, words: Words) -> None:
        self._db, self._words = connection, words
        # what the batch will change in the index tables: primary key -> rest of the row, None = delete; last op wins
        self._rows: dict[str, dict[Key, Row | None]] = {table: {} for table in _INSERT}
        self._log: list[tuple[int, int, int, str]] = []
        self._targets: dict[str, int] = {}
        self._widths: dict[int, tuple[int, int]] = {}
        self._read_widths()
        self._last_rid = int(connection.execute("SELECT coalesce(max(rid), 0) FROM res").fetchone()[0])
        self._last = int(connection.execute("SELECT coalesce(max(stamp), 0) FROM log").fetchone()[0])

    def forget(self) -> None:
        """After a rollback: nothing of the batch is there."""
        for rows in self._rows.values():
            rows.clear()
        self._log.clear()
        self._targets.clear()
        self._read_widths()
        self._words.reload()

    def _read_widths(self) -> None:
        rows = self._db.execute("SELECT p, widest, several FROM width")
        self._widths = {p: (widest, several) for p, widest, several in rows}

    def flush(self) -> None:
        for table, rows in self._rows.items():
            if not rows:
                continue
            gone = [key for key, row in rows.items() if row is None]
            if gone:
                self._db.executemany(_DELETE[table], gone)
            self._db.executemany(_INSERT[table], [key + row for key, row in rows.items() if row is not None])
            rows.clear()
        self._flush_log()

    def _flush_log(self) -> None:
        self._db.executemany("INSERT INTO log (stamp, rid, ver, method) VALUES (?,?,?,?)", self._log)
        self._log.clear()

    # ------------------------------------------------------------------------------------------- one commit
    def commit(self, writes: Sequence[Write]) -> list[Version]:
        currents = [self._current(write.type, write.id) for write in writes]
        seen: set[tuple[str, str]] = set()
        claims: dict[str, str] = {}
        released = {f"{write.type}/{write.id}" for write in writes if write.draft is None}
        for write, current in zip(writes, currents, strict=True):
            if (write.type, write.id) in seen:
                raise Conflict(f"{write.type}/{write.id} is written twice in one transaction")
            seen.add((write.type, write.id))
            at = current.version if current else 0
            if at != write.expect:
                raise StaleWrite(write.type, write.id, at)
            if write.claim:
                if write.claim in claims:
                    raise Claimed(write.claim, claims[write.claim])
                claims[write.claim] = f"{write.type}/{write.id}"
                self._check_claim(write, released)
        # numbers of all resources first: references between them must find each other
        rids = []
        for write, current in zip(writes, currents, strict=True):
            rid = current.rid if current else self._number_row()
            self._targets[f"{write.type}/{write.id}"] = rid
            rids.append(rid)
        return [self._write(write, current, rid) for write, current, rid in zip(writes, currents, rids, strict=True)]

    def reenter(self, entries: Sequence[Reentry]) -> list[Version]:
        done = []
        for entry in entries:
            current = self._current(entry.type, entry.id)
            if current and current.version == entry.version and current.body is not None:
                self._replace_entries(current.rid, entry.before, entry.after)
                done.append(Version(entry.type, entry.id, current.version, current.stamp, current.method, current.body))
        return done

    def expunge(self, removals: Sequence[Removal], writes: Sequence[Write]) -> list[Version]:
        """Checks everything first. SQLite puts zeros where the removed bytes lay (schema.PRAGMAS)."""
        written = {(write.type, write.id) for write in writes}
        rows: list[tuple[int, int]] = []
        for type, id, versions in removals:
            current = self._current(type, id)
            at = current.version if current else 0
            old = self._db.execute("SELECT ver FROM hist WHERE rid=?", (current.rid if current else 0,))
            there = {row[0] for row in old} | ({at} if (type, id) in written else set())
            if current is None or not there.issuperset(versions):
                raise StaleWrite(type, id, at)
            rows += [(current.rid, version) for version in versions]
        made = self.commit(writes)
        self._flush_log()
        self._db.executemany("DELETE FROM log WHERE stamp=(SELECT stamp FROM hist WHERE rid=? AND ver=?)", rows)
        self._db.executemany("DELETE FROM hist WHERE rid=? AND ver=?", rows)
        return made

    def adopt(self, adoptions: Sequence[Adoption], holdings: Sequence[Holding]) -> list[Version]:
        """Checks everything first: a refusal has changed nothing."""
        last, numbers = self._last, dict[tuple[str, str], int]()
        for version, _, _ in adoptions:
            key = version.type, version.id
            if key not in numbers:
                current = self._current(*key)
                numbers[key] = current.version if current else 0
            if version.version <= numbers[key]:
                raise StaleWrite(*key, numbers[key])
            if version.stamp <= last:
                raise Conflict(f"{version.type}/{version.id} has a stamp that is not later than what is here")
            numbers[key], last = version.version, version.stamp
        for version, before, after in adoptions:
            current = self._current(version.type, version.id)
            self._keep(version, current, current.rid if current else self._number_row(), before, after)
        self._last = last
        for claim, holder in holdings:
            type, _, id = holder.partition("/")
            living = self._current(type, id)
            if living is not None and living.body is not None:
                self._db.execute("INSERT OR REPLACE INTO claim (key, rid) VALUES (?,?)", (claim, living.rid))
        return [version for version, _, _ in adoptions]

    def _write(self, write: Write, current: _Current | None, rid: int) -> Version:
        number = (current.version if current else 0) + 1
        self._last = stamp = next_stamp(self._last)
        body = write.draft.at(number, stamp) if write.draft else b""
        version = Version(write.type, write.id, number, stamp, write.method, body)
        self._keep(version, current, rid, write.before, write.after)
        if write.claim:
            self._db.execute("INSERT OR REPLACE INTO claim (key, rid) VALUES (?,?)", (write.claim, rid))
        return version

    def _keep(
        self, new: Version, current: _Current | None, rid: int, before: Sequence[Entry], after: Sequence[Entry]
    ) -> None:
        """A version becomes the current one of its row."""
        type, id, version, stamp, method, bytes = new
        type_number, body = self._words.number("type", type), bytes or None
        if current and current.version:
            self._db.execute(
                "INSERT INTO hist (rid, ver, stamp, method, body) VALUES (?,?,?,?,?)",
                (rid, current.version, current.stamp, current.method, current.body),
            )
            self._rows["late"][type_number, current.stamp] = None
        if current:
            self._db.execute(
                "UPDATE res SET ver=?, stamp=?, method=?, body=? WHERE rid=?", (version, stamp, method, body, rid)
            )
        else:
            self._db.execute(
                "INSERT INTO res (rid, type, id, ver, stamp, method, body) VALUES (?,?,?,?,?,?,?)",
                (rid, type_number, id, version, stamp, method, body),
            )
        self._log.append((stamp, rid, version, method))
        if body is None:
            self._rows["live"][type_number, rid] = None
            self._db.execute("DELETE FROM claim WHERE rid=?", (rid,))
        else:
            if current is None or current.body is None:
                self._rows["live"][type_number, rid] = ()
            self._rows["late"][type_number, stamp] = (rid,)
        self._replace_entries(rid, before, after)

    def _replace_entries(self, rid: int, before: Sequence[Entry], after: Sequence[Entry]) -> None:
        if before:
            old, new = set(before), set(after)
            for rows, key, _ in self._rows_of([entry for entry in before if entry not in new], rid):
                rows[key] = None
            after = [entry for entry in after if entry not in old]
        for rows, key, row in self._rows_of(after, rid):
            rows[key] = row

    def _rows_of(self, entries: Sequence[Entry], rid: int) -> Iterator[tuple[dict[Key, Row | None], Key, Row]]:
        """(the rows of a table, primary key, other columns) of each entry."""
        number, rows = self._words.number, self._rows
        params, systems = self._words.numbered("param"), self._words.numbered("system")
        tok, str, ref, span, gram = (rows[table] for table in ("tok", "str", "ref", "span", "gram"))
        for shape, param, key, scope, low, high, rank in entries:
            p = params.get(param) or number("param", param)
            if shape == TERM:
                yield tok, (p, key, rid, systems.get(scope) or number("system", scope), rank), ()
            elif shape == LINK:
                yield ref, (p, self._target(key), rid), ()
            elif shape == SPAN:
                self._widen(p, high - low, rank, bool(key))
                yield span, (p, number("unit", key), low, rid, high, rank), ()
            elif shape == WORD:
                yield gram, (p, key, rid), ()
            else:
                assert shape == TEXT
                yield str, (p, key, rid, "" if scope == key else scope, rank), ()

    def _widen(self, p: int, length: int, rank: int, in_unit: bool) -> None:
        """Keeps what bounds a walk over a parameter's spans (criteria.py): it only ever grows."""
        widest, several = self._widths.get(p, (-1, 0))
        width, more = max(widest, min(length, LONGEST)), several or int(rank != (3 if in_unit else 0))
        if (width, more) != (widest, several):
            self._widths[p] = (width, more)
            self._db.execute("INSERT OR REPLACE INTO width (p, widest, several) VALUES (?,?,?)", (p, width, more))

    # --------------------------------------------------------------------------------------------- look-ups
    def _current(self, type: str, id: str) -> _Current | None:
        row = self._db.execute(
            "SELECT rid, ver, stamp, method, body FROM res WHERE id=? AND type=?",
            (id, self._words.number("type", type)),
        ).fetchone()
        return _Current(*row) if row else None

    def _number_row(self) -> int:
        self._last_rid += 1
        return self._last_rid

    def _placeholder(self, type: str, id: str) -> int:
        """A row for what is referred to and unknown: version 0. Whoever writes the resource fills it."""
        rid = self._number_row()
        self._db.execute(
            "INSERT INTO res (rid, type, id, ver, stamp, method) VALUES (?,?,?,0,0,'')",
            (rid, self._words.number("type", type), id),
        )
        return rid

    def _target(self, target: str) -> int:
        """The number of a link's target: a row, or minus the number of a URL."""
        rid = self._targets.get(target)
        if rid is not None:
            return rid
        if not is_local(target):
            return -self._words.number("url", target)
        type, id = target.split("/")
        current = self._db.execute(
            "SELECT rid FROM res WHERE id=? AND type=?", (id, self._words.number("type", type))
        ).fetchone()
        rid = int(current[0]) if current else self._placeholder(type, id)
        if len(self._targets) >= TARGETS_KEPT:
            self._targets.clear()
        self._targets[target] = rid
        return rid

    def _check_claim(self, write: Write, released: set[str]) -> None:
        row = self._db.execute(
            "SELECT w.text, r.id FROM claim c JOIN res r ON r.rid = c.rid JOIN word w ON w.n = r.type WHERE c.key=?",
            (write.claim,),
        ).fetchone()
        holder = f"{row[0]}/{row[1]}" if row else ""
        if holder and holder not in released and holder not in (write.claim_from, f"{write.type}/{write.id}"):
            raise Claimed(write.claim, holder)
