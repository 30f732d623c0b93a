"""Polling a database: new and changed rows of one query become messages, in order; a bookmark is kept in a file.

The query names `:bookmark` and is ordered by the bookmark column, smallest first:

    SELECT * FROM v_discharged WHERE changed_at >= :bookmark AND changed_at < now() - interval '1 minute'
    ORDER BY changed_at

`>=`, not `>`: rows that share the last value of the bookmark would be lost otherwise. Those sent already are known by a
digest and passed over. The second condition leaves time to transactions that began earlier and commit late.
"""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from adapters.contract import Adapter
from adapters.delivery import Delivery
from adapters.runner import Conversion, convert, now

_FETCH = 500  # rows taken from the cursor at a time


class Sink(Protocol):
    """Where conversions go: a delivery.Target."""

    def deliver(self, conversion: Conversion) -> Delivery: ...


@dataclass(frozen=True, slots=True)
class Source:
    """One polled query. `url` is SQLAlchemy's; `start` is the bookmark of the first poll (`0`, `1900-01-01`)."""

    url: str
    query: str
    column: str
    start: str


@dataclass(slots=True)
class Bookmark:
    """The last value sent, and the digests of the rows that have it. Kept in a file that is replaced as a whole."""

    value: Any
    seen: list[str] = field(default_factory=list)

    @staticmethod
    def load(path: Path, start: str) -> "Bookmark":
        """What the file says; without a file, `start`. Raises ValueError for a file that is none of ours."""
        if not path.exists():
            return Bookmark(int(start) if start.lstrip("-").isdigit() else start)
        try:
            kept = json.loads(path.read_bytes())
            return Bookmark(_READ[kept["type"]](kept["value"]), list(kept["seen"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no bookmark: {error}") from None

    def save(self, path: Path) -> None:
        kind = next(name for name, type in _KINDS.items() if isinstance(self.value, type))
        written = self.value.isoformat() if kind in ("datetime", "date") else str(self.value)
        temporary = path.with_suffix(path.suffix + ".new")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump({"type": kind, "value": written, "seen": self.seen}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


_KINDS: dict[str, type] = {
    "datetime": datetime,
    "date": date,
    "int": int,
    "float": float,
    "decimal": Decimal,
    "str": str,
}
_READ: dict[str, Any] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "int": int,
    "float": float,
    "decimal": Decimal,
    "str": str,
}


@dataclass(slots=True)
class Polled:
    """One poll: rows sent, rows at fault (their raw bytes are kept), and why it stopped early, '' if it did not."""

    sent: int = 0
    refused: int = 0
    stopped: str = ""


def poll(source: Source, adapter: Adapter, sink: Sink, bookmark_file: Path) -> Polled:
    """Sends every row at or past the bookmark that was not sent yet. The bookmark moves after a row is stored, never
    before: a crash sends a row again, which changes nothing. A server that is away stops the poll where it is.

    Raises ValueError for a query without `:bookmark` or a result without the bookmark column; sqlalchemy's errors for
    a database that does not answer.
    """
    if ":bookmark" not in source.query:
        raise ValueError("the query does not name :bookmark")
    bookmark = Bookmark.load(bookmark_file, source.start)
    result = Polled()
    for row in _rows(source, bookmark.value):
        value = row.get(source.column)
        if value is None:
            raise ValueError(f"the query gives no value for {source.column}, its bookmark")
        content = written(row)
        digest = hashlib.sha256(content).hexdigest()[:32]
        if value == bookmark.value and digest in bookmark.seen:
            continue
        for conversion in convert(content, f"{source.column}.csv", adapter, now()):
            delivery = sink.deliver(conversion)
            if delivery.status == "again":
                result.stopped = "; ".join(problem.text for problem in delivery.problems) or "the server is away"
                return result
            result.refused += conversion.failed or delivery.status == "refused"
        result.sent += 1
        bookmark.seen = [*(bookmark.seen if value == bookmark.value else []), digest]
        bookmark.value = value
        bookmark.save(bookmark_file)
    return result


def _rows(source: Source, bookmark: Any) -> Iterator[Mapping[str, Any]]:
    """The rows of the query, streamed; the connection is closed when the poll ends, however it ends."""
    import sqlalchemy  # 200 ms; only who polls pays

    engine = sqlalchemy.create_engine(source.url, poolclass=sqlalchemy.pool.NullPool)
    try:
        with engine.connect() as connection:
            options = {"stream_results": True, "yield_per": _FETCH}
            found = connection.execution_options(**options).execute(
                sqlalchemy.text(source.query), {"bookmark": bookmark}
            )
            yield from (dict(row) for row in found.mappings())
    finally:
        engine.dispose()


def written(row: Mapping[str, Any]) -> bytes:
    """A row as CSV with its header: what the adapters read, and what is kept as the raw message."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([row.keys(), [_plain(value) for value in row.values()]])
    return text.getvalue().encode("utf-8", "replace")


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    return value.hex() if isinstance(value, bytes) else str(value)
