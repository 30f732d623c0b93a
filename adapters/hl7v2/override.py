"""What one site does differently, as a small file beside the maps: table rows, systems, policies, events, moved fields.

    name = "county hospital HIS"
    application = "HIS"             # MSH-3.1 of its messages; facility = MSH-4.1; both when both are given
    zone = "+08:00"
    [events]                        # its own events, and what they are
    "ADT^ZP1" = "ADT^A08"
    [segments]                      # a Z segment that is laid out like a standard one
    ZDG = "DG1"
    [moves]                         # a field that stands elsewhere
    "ZPD-3" = "PID-16"
    [systems]                       # coding systems and assigning authorities by their local name
    "99ICD" = "http://hl7.org/fhir/sid/icd-10"
    [policies]                      # keep | warn | queue | reject, a field each
    "PV1-2" = "reject"
    [tables.encounter_class]        # rows of tables/*.csv
    "H9" = ["HH", "home health"]

Every word of it is checked when it is loaded.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from adapters.kit import codes

TABLES = "adapters.hl7v2"
POLICIES = ("keep", "warn", "queue", "reject")

_FIELD = re.compile(r"[A-Z][A-Z0-9]{2}-[1-9]\d{0,2}")
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")
_ZONE = re.compile(r"Z|[+-](0\d|1[0-4]):[0-5]\d")
_KNOWN = ("name", "application", "facility", "zone", "events", "segments", "moves", "systems", "policies", "tables")


class SiteError(ValueError):
    """A site file is wrong; the sentence names the file, the line and what is expected."""


@dataclass(frozen=True)
class Site:
    """The differences of one source. The default has none and fits every message."""

    name: str = ""
    application: str = ""
    facility: str = ""
    zone: str = "+08:00"
    events: Mapping[str, str] = field(default_factory=dict)
    segments: Mapping[str, str] = field(default_factory=dict)
    moves: Mapping[str, str] = field(default_factory=dict)
    systems: Mapping[str, str] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def fits(self, application: str, facility: str) -> bool:
        return self.application in ("", application) and self.facility in ("", facility)

    def row(self, table: str, code: str) -> tuple[str, ...] | None:
        """The row of a code: this site's, else that of tables/*.csv; codes are compared in capitals too."""
        own, rows = self.tables.get(table), codes.table(TABLES, table)
        for written in (code, code.upper()):
            found = (own.get(written) if own else None) or rows.get(written)
            if found:
                return found
        return None

    def policy(self, place: str) -> str:
        """keep | warn | queue | reject for an unknown code of a field (`PV1-2`)."""
        found = self.policies.get(place)
        if found:
            return found
        row = codes.table(TABLES, "policies").get(place)
        return row[0] if row else "warn"


DEFAULT = Site()


def load(text: str, name: str = "site.toml") -> Site:
    """The site of a TOML file. Raises SiteError: `site.toml, line 7: moves: ZPD3 is no field (…)`."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SiteError(f"{name}: {error}") from None
    try:
        return _checked(content)
    except _Wrong as wrong:
        raise SiteError(f"{name}, line {_line(text, wrong.section, wrong.key)}: {wrong.text}") from None


class _Wrong(Exception):
    def __init__(self, section: str, key: str, text: str) -> None:
        self.section, self.key, self.text = section, key, f"{section}: {text}" if section else text


def _checked(content: dict[str, Any]) -> Site:
    for key, value in content.items():
        if key not in _KNOWN:
            raise _Wrong("", key, f"{key} is not known here; known are {', '.join(_KNOWN)}")
        expected = str if key in _KNOWN[:4] else dict
        if not isinstance(value, expected):
            raise _Wrong("", key, f"{key} is no {'text' if expected is str else 'section'}")
    if not content.get("application") and not content.get("facility"):
        raise _Wrong("", "name", "application (MSH-3.1) or facility (MSH-4.1) is needed to know the site's messages")
    if not _ZONE.fullmatch(content.get("zone", "+08:00")):
        raise _Wrong("", "zone", f"{content['zone']} is no zone; write it like +08:00")
    events = codes.table(TABLES, "events")
    _each(content, "events", lambda _, to: to in events, "an event of tables/events.csv, like ADT^A08")
    _each(content, "segments", lambda own, to: _is(_SEGMENT, own, to), 'segment names, like ZDG = "DG1"')
    _each(content, "moves", lambda own, to: _is(_FIELD, own, to), 'fields, like "ZPD-3" = "PID-16"')
    _each(content, "systems", lambda _, to: bool(re.fullmatch(r"(https?://|urn:)\S+", to)), "a URI")
    _each(content, "policies", lambda own, to: _is(_FIELD, own) and to in POLICIES, f"a field and {POLICIES}")
    known = {key: content[key] for key in content if key != "tables"}
    return Site(**known, tables=_tables(content.get("tables", {})))


def _is(pattern: re.Pattern[str], *texts: str) -> bool:
    return all(pattern.fullmatch(text) for text in texts)


def _each(content: dict[str, Any], section: str, holds: Any, expected: str) -> None:
    for key, value in content.get(section, {}).items():
        if not isinstance(value, str) or not holds(key, value):
            raise _Wrong(section, key, f"{key} = {value!r}: expected {expected}")


def _tables(given: dict[str, Any]) -> dict[str, dict[str, tuple[str, ...]]]:
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for table, rows in given.items():
        section = f"tables.{table}"
        width = _widths().get(table)
        if width is None or not isinstance(rows, dict):
            raise _Wrong(section, "", f"there is no table {table}; there are {', '.join(sorted(_widths()))}")
        found[table] = {}
        for code, row in rows.items():
            if not isinstance(row, list) or not all(isinstance(cell, str) for cell in row) or len(row) > width:
                raise _Wrong(section, code, f"{code} needs a list of up to {width} texts")
            found[table][code] = (*row, *[""] * (width - len(row)))
    return found


@cache
def _widths() -> dict[str, int]:
    """Table name -> how many columns stand behind the code."""
    widths = {}
    for path in (files(TABLES) / "tables").iterdir():
        if path.name.endswith(".csv") and path.name not in ("events.csv", "policies.csv", "fields.csv"):
            widths[path.name.removesuffix(".csv")] = path.read_text("utf-8").split("\n", 1)[0].count(",")
    return widths


def _line(text: str, section: str, key: str) -> int:
    """The line of a key in its section of a TOML text; the section's own line, or 1, where it cannot be found."""
    inside, at = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line.startswith("["):
            inside = line.strip("[] ").replace('"', "")
            at = number if inside == section else at
        elif inside == section and re.match(rf"[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return at
