"""Cutting a text into referrals: CSV rows (quotes, line breaks in cells) and JSON objects, with lines and columns."""

import json
import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from json import JSONDecodeError
from typing import Any

from adapters.contract import Problem
from adapters.roles.record import Cell


@dataclass(slots=True)
class Cut:
    """text[start:end] is one message; `header` is the CSV header line that belongs to it, with its line end."""

    start: int
    end: int
    line: int
    header: str = ""
    table: str = ""
    cells: dict[str, Cell] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    groups: dict[str, list["Cut"]] = field(default_factory=dict)


class _Places:
    """Line and column, from 1, of an offset in a text whose lines end with LF, CRLF or CR."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(m.end() for m in re.finditer(r"\r\n|\n|\r", text))]

    def of(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


# ---------------------------------------------------------------------------------------------------- CSV
_CELL = re.compile(r'"((?:[^"]|"")*)"')
_BARE = {mark: re.compile(rf"[^{mark}\r\n]*") for mark in (",", "\t")}
_LINE_END = re.compile(r"\r\n|\n|\r")


def cut_csv(text: str) -> list[Cut]:
    """RFC 4180 rows; the first line names the columns; comma, or tab when the header has no comma. Blank rows are
    passed over. After a quote that never closes nothing more can be cut: the rest is one unreadable message."""
    places = _Places(text)
    first_line = _LINE_END.split(text, maxsplit=1)[0]
    mark = "\t" if "\t" in first_line and "," not in first_line else ","
    header, at, problem = _row(text, 0, mark, places)
    names = [cell.text.strip() for cell in header]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        problem = Problem("fatal", "structure", f"the header names these columns twice: {', '.join(twice)}", line=1)
    if problem is not None:
        return [Cut(0, len(text), 1, problems=[problem])]
    head, cuts = text[:at], []
    while at < len(text):
        start = at
        cells, at, problem = _row(text, start, mark, places)
        line = places.of(start)[0]
        if problem is not None:
            cuts.append(Cut(start, len(text), line, head, problems=[problem]))
            break
        if not any(cell.text.strip() for cell in cells):
            continue
        end = start + len(text[start:at].rstrip("\r\n"))
        cuts.append(Cut(start, end, line, head, "", dict(zip(names, cells, strict=False)), _width(names, cells, line)))
    return cuts


def _row(text: str, at: int, mark: str, places: _Places) -> tuple[list[Cell], int, Problem | None]:
    """The cells of the row at an offset, and the offset of the next row."""
    cells: list[Cell] = []
    while True:
        line, column = places.of(at)
        if text.startswith('"', at):
            match = _CELL.match(text, at)
            if match is None:
                return cells, len(text), Problem("fatal", "structure", "a quote is not closed", "", line, column)
            value = match[1].replace('""', '"')
        else:
            match = _BARE[mark].match(text, at)
            assert match is not None  # the pattern matches the empty string
            value = match[0]
        cells.append(Cell(value, line, column))
        at = match.end()
        if text.startswith(mark, at):
            at += 1
            continue
        end = _LINE_END.match(text, at)
        if end is not None or at == len(text):
            return cells, end.end() if end else at, None
        line, column = places.of(at)
        return cells, len(text), Problem("fatal", "structure", "text after a closing quote", "", line, column)


def _width(names: list[str], cells: list[Cell], line: int) -> list[Problem]:
    """A row of another width than the header is not read: its cells may stand under the wrong names."""
    if len(cells) >= len(names) and not any(cell.text.strip() for cell in cells[len(names) :]):
        return []
    return [Problem("fatal", "structure", f"{len(cells)} cells, but the header names {len(names)}", line=line)]


# --------------------------------------------------------------------------------------------------- JSON
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)  # numbers as written
_DEPTH = 8  # objects inside objects that are read; what is deeper stays the text that it is
_SPACE = re.compile(r"[ \t\r\n]*")
_Member = tuple[str, int, Any, int, int]  # key, its offset, value, value's offset and end


def cut_json(text: str, is_message: Callable[[dict[str, str]], bool]) -> list[Cut]:
    """The objects of `{…}`, `[{…}, …]` or `{"TABLE": [{…}, …], …}`; `is_message` tells by its keys that an object is a
    message itself and not a wrapper. An error of syntax ends the cutting: the objects before it stand, the rest is one
    unreadable message with line and column."""
    cuts: list[Cut] = []
    places = _Places(text)
    at = _skip(text, 0)
    try:
        if text[at] == "[":
            at = _cut_list(text, at, "", places, cuts)
        else:
            members, end = _members(text, at)
            wrapper = not is_message(_flat(members))
            lists = [member for member in members if wrapper and _is_rows(member[2])]
            for name, _, _, start, _ in lists:
                _cut_list(text, start, name, places, cuts)
            if not lists:
                cuts.append(_cut(text, at, end, members, "", places))
            at = end
        at = _skip(text, at)
        if at < len(text):
            raise JSONDecodeError("text after the end", text, at)
    except (JSONDecodeError, RecursionError) as error:
        position = error.pos if isinstance(error, JSONDecodeError) else at
        why = error.msg if isinstance(error, JSONDecodeError) else "nested too deep"
        line, column = places.of(min(position, len(text)))
        start = cuts[-1].end if cuts else 0
        broken = Problem("fatal", "structure", f"not JSON: {why}", "", line, column)
        cuts.append(Cut(start, len(text), places.of(start)[0], problems=[broken]))
    return cuts


def _cut_list(text: str, at: int, table: str, places: _Places, cuts: list[Cut], depth: int = 0) -> int:
    """Cuts the elements of the array at an offset, appends them, and returns the offset after the array."""
    at = _skip(text, at + 1)
    if text.startswith("]", at):
        return at + 1
    while True:
        if text.startswith("{", at):
            members, end = _members(text, at)
            cuts.append(_cut(text, at, end, members, table, places, depth))
        else:
            _, end = _DECODER.raw_decode(text, at)
            line, column = places.of(at)
            problem = Problem("fatal", "structure", "not an object", table, line, column)
            cuts.append(Cut(at, end, line, table=table, problems=[problem]))
        at = _skip(text, end)
        if text.startswith("]", at):
            return at + 1
        if not text.startswith(",", at):
            raise JSONDecodeError("Expecting ',' delimiter", text, at)
        at = _skip(text, at + 1)


def _members(text: str, at: int) -> tuple[list[_Member], int]:
    """The members of the object at an offset, with their places, and the offset after it."""
    members: list[_Member] = []
    at = _skip(text, at + 1)
    if text.startswith("}", at):
        return members, at + 1
    while True:
        if not text.startswith('"', at):
            raise JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        key, end = _DECODER.raw_decode(text, at)
        colon = _skip(text, end)
        if not text.startswith(":", colon):
            raise JSONDecodeError("Expecting ':' delimiter", text, colon)
        start = _skip(text, colon + 1)
        value, end = _DECODER.raw_decode(text, start)
        members.append((key, at, value, start, end))
        at = _skip(text, end)
        if text.startswith("}", at):
            return members, at + 1
        if not text.startswith(",", at):
            raise JSONDecodeError("Expecting ',' delimiter", text, at)
        at = _skip(text, at + 1)


def _cut(text: str, start: int, end: int, members: list[_Member], table: str, places: _Places, depth: int = 0) -> Cut:
    cut = Cut(start, end, places.of(start)[0], table=table)
    for key, at, value, value_start, value_end in members:
        line, column = places.of(at)
        if key in cut.cells:
            cut.problems.append(Problem("warning", "structure", "the key stands twice; the first is read", key, line))
            continue
        if isinstance(value, dict) and value and depth < _DEPTH:
            _merge(cut, _nested(text, value_start, places, depth + 1))
            continue
        if _is_rows(value) and value and depth < _DEPTH:
            rows: list[Cut] = []
            _cut_list(text, value_start, key, places, rows, depth + 1)
            cut.groups[key] = [*cut.groups.get(key, []), *rows]
            continue
        plain = value if isinstance(value, str) else "" if value is None else text[value_start:value_end]
        cut.cells[key] = Cell(plain, line, column)
    return cut


def _flat(members: list[_Member]) -> dict[str, str]:
    """Keys and plain values of an object and of those inside it (the envelope `{"infno": …, "input": {…}}`)."""
    found: dict[str, str] = {}
    waiting: list[tuple[str, Any]] = [(member[0], member[2]) for member in members]
    while waiting:
        key, value = waiting.pop(0)
        found.setdefault(key, value if isinstance(value, str) else "")
        if isinstance(value, dict):
            waiting.extend(value.items())
    return found


def _nested(text: str, at: int, places: _Places, depth: int) -> Cut:
    members, end = _members(text, at)
    return _cut(text, at, end, members, "", places, depth)


def _merge(cut: Cut, inner: Cut) -> None:
    """The members of a nested object are read as if they stood outside it; what stands there already goes first."""
    for key, cell in inner.cells.items():
        if key in cut.cells and cut.cells[key].text != cell.text and cell.text:
            text = "stands in two objects with different values; the first is read"
            cut.problems.append(Problem("warning", "structure", text, key, cell.line))
        cut.cells.setdefault(key, cell)
    for name, rows in inner.groups.items():
        cut.groups[name] = [*cut.groups.get(name, []), *rows]
    cut.problems.extend(inner.problems)


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
