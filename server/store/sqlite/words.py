"""Interns the words that index rows repeat: types, parameters, systems, units, URLs -> small integers."""

import sqlite3
from collections.abc import Mapping

_CACHED = ("type", "param", "system", "unit")  # few and hot; URLs are many and looked up each time


class Words:
    """Numbers of words. `number` makes a new one (writer only), `known` never does; '' is always 0."""

    def __init__(self, writer: sqlite3.Connection) -> None:
        self._writer = writer
        self._numbers: dict[str, dict[str, int]] = {}  # kind -> text -> number
        self.reload()

    def reload(self) -> None:
        """Reads what is stored; needed after a rollback, which takes new words back."""
        rows = self._writer.execute(
            f"SELECT kind, text, n FROM word WHERE kind IN ({','.join('?' * len(_CACHED))})", _CACHED
        )
        found: dict[str, dict[str, int]] = {kind: {} for kind in (*_CACHED, "url")}
        for kind, text, n in rows:
            found[kind][text] = n
        self._numbers = found

    def numbered(self, kind: str) -> Mapping[str, int]:
        """The words of a kind that have a number; those of a batch ask here before they call `number`."""
        return self._numbers[kind]

    def number(self, kind: str, text: str) -> int:
        if not text:
            return 0
        found = self._numbers[kind].get(text)
        if found is None:
            found = self.known(self._writer, kind, text)
        if found is None:
            found = int(
                self._writer.execute(
                    "INSERT INTO word (kind, text) VALUES (?, ?) RETURNING n", (kind, text)
                ).fetchone()[0]
            )
            if kind in _CACHED:
                self._numbers[kind][text] = found
        return found

    def known(self, reader: sqlite3.Connection, kind: str, text: str) -> int | None:
        if not text:
            return 0
        found = self._numbers[kind].get(text)
        if found is None and kind not in _CACHED:
            found = _stored(reader, kind, text)
        return found


class SharedWords(Words):
    """In a process that only reads: another one makes the words, so what is not known yet is looked up each time.

    A word that is visible is committed and stays, so remembering it is safe.
    """

    def __init__(self) -> None:
        self._numbers = {kind: {} for kind in (*_CACHED, "url")}

    def known(self, reader: sqlite3.Connection, kind: str, text: str) -> int | None:
        found = super().known(reader, kind, text)
        if found is None and kind in _CACHED:
            found = _stored(reader, kind, text)
            if found is not None:
                self._numbers[kind][text] = found
        return found


def _stored(reader: sqlite3.Connection, kind: str, text: str) -> int | None:
    row = reader.execute("SELECT n FROM word WHERE kind = ? AND text = ?", (kind, text)).fetchone()
    return int(row[0]) if row else None


def is_local(target: str) -> bool:
    """Whether a link target is `Type/id` of this store; everything else is a URL."""
    return target.count("/") == 1 and ":" not in target
