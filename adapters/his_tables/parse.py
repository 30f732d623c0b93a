"""Bytes -> records: rows of CSV, TSV or XLSX whose columns are known by name, in any of the styles of the field."""

import csv
import io
import re
import unicodedata
from dataclasses import replace
from functools import cache

from adapters.contract import Parsed, Problem
from adapters.his_tables.workbook import Refused, Row, rows
from adapters.kit import charset
from adapters.roles.cut import Cut, cut_csv
from adapters.roles.record import Cell, Column, Record, columns_of

PACKAGE = "adapters.his_tables"
_ZIP = b"PK\x03\x04"
_CSV = "text/csv;charset=utf-8"
HEADER_ROWS = 5  # of a sheet: titles may stand above the names of the columns
KNOWN = 3  # columns that must be known before a text without a telling file name is taken for an extract
_NUMBERED = re.compile(r"(.*?)[_\-]?(\d{1,2})")


def recognises(content: bytes, name: str) -> bool:
    """XLSX by its first bytes and name, CSV and TSV by name or by a header of columns that are known."""
    if content.startswith(_ZIP):
        return name.lower().endswith((".xlsx", ".xlsm")) or b"xl/" in content[:4096]
    head = content[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:1] in (b"{", b"[", b"<", b"") or head[:3] in (b"MSH", b"FHS", b"BHS"):
        return False
    if name.lower().endswith((".csv", ".tsv")):
        return True
    header = charset.decode(head.split(b"\n", 1)[0]).text
    return sum(meaning(cell.strip().strip('"')) is not None for cell in re.split(r"[,\t]", header)) >= KNOWN


def parse(content: bytes, name: str) -> list[Parsed]:
    """One Parsed a row. What cannot be read has record None and a fatal problem."""
    if content.startswith(_ZIP):
        return _workbook(content)
    decoded = charset.decode(content)
    found = []
    for cut in cut_csv(decoded.text):
        raw = (cut.header + decoded.text[cut.start : cut.end]).encode(decoded.charset, "replace")
        problems = list(cut.problems)
        if decoded.warning:
            problems.append(Problem("warning", "structure", decoded.warning))
        found.append(_row(cut, raw, f"text/csv;charset={decoded.charset}", problems))
    return found or [Parsed(content, "text/csv", None, [Problem("fatal", "required", "the table has no row", line=1)])]


def _workbook(content: bytes) -> list[Parsed]:
    """The rows of all sheets; the raw message of a row is its header and itself as CSV."""
    found: list[Parsed] = []
    header: list[str] = []
    sheet, waited = "", 0
    try:
        for row in rows(content):
            if row.sheet != sheet:
                sheet, header, waited = row.sheet, [], 0
            if header:
                found.append(_sheet_row(header, row))
            elif sum(meaning(cell) is not None for cell in row.cells) >= 2:
                header = row.cells
            else:
                waited += 1
                if waited > HEADER_ROWS:
                    break
    except Refused as refused:
        found.append(Parsed(content, _XLSX, None, [Problem("fatal", "structure", str(refused))]))
    if not found:
        text = f"no sheet has a row of known column names among its first {HEADER_ROWS} (`tiercare adapter guess`)"
        return [Parsed(content, _XLSX, None, [Problem("fatal", "required", text)])]
    return found


_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _sheet_row(header: list[str], row: Row) -> Parsed:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([header, row.cells])
    cells = {name: Cell(value, row.number) for name, value in zip(header, row.cells, strict=False) if name}
    cut = Cut(0, 0, row.number, "", row.sheet, cells)
    return _row(cut, written.getvalue().encode("utf-8", "replace"), _CSV, [])


def _row(cut: Cut, raw: bytes, content_type: str, problems: list[Problem]) -> Parsed:
    if any(problem.severity == "fatal" for problem in problems):
        return Parsed(raw, content_type, None, problems, cut.line)
    record = record_of(cut)
    if not any(column.role for column in record.columns.values()) and not record.groups:
        text = f"no column is known by name: {', '.join(list(cut.cells)[:40])} (`tiercare adapter guess`)"
        problem = Problem("fatal", "not-supported", text, line=cut.line)
        return Parsed(raw, content_type, None, [*problems, problem], cut.line)
    return Parsed(raw, content_type, record, problems, cut.line)


def record_of(cut: Cut) -> Record:
    """The cells with what their columns mean; numbered columns (`其他诊断编码2`) become rows of a group."""
    record = Record("extract", {}, cut.line, PACKAGE)
    groups: dict[tuple[str, int], Record] = {}
    for name, cell in cut.cells.items():
        column = meaning(name)
        if column is None:
            record.cells[name] = cell
            continue
        role, _, number = column.role.partition("#")
        if number:
            group = (role.split(".")[0], int(number))
            into = groups.setdefault(group, Record(f"extract.{group[0]}", {}, cut.line, PACKAGE))
        else:
            into = record
        into.cells[name], into.columns[name] = cell, replace(column, role=role)
    for (kind, _), child in sorted(groups.items()):
        record.groups.setdefault({"diagnosis": "diagnoses", "procedure": "procedures"}[kind], []).append(child)
    return record


def meaning(name: str) -> Column | None:
    """What a column of this name means: pinyin, Chinese, English, data element and HQMS names; None = unknown."""
    names = _names()
    folded = fold(name)
    if folded in names:
        return names[folded]
    numbered = _NUMBERED.fullmatch(folded)
    column = names.get(numbered[1]) if numbered else None
    if numbered and column and column.role.startswith(("diagnosis.", "procedure.")) and "#" not in column.role:
        return replace(column, role=f"{column.role}#{int(numbered[2])}")
    return None


def fold(name: str) -> str:
    """Width, case, blanks, quotes and underscores do not tell columns apart; nor do units in brackets."""
    text = unicodedata.normalize("NFKC", name).strip().strip("\"'`[]").lower()
    text = re.sub(r"\((mmhg|mmol/l|kg|cm|岁|天|次/分|℃)\)$", "", text)
    return re.sub(r"[\s_]+", "", text)


@cache
def _names() -> dict[str, Column]:
    found: dict[str, Column] = {}
    for spelling, column in columns_of(PACKAGE, "columns").items():
        folded = fold(spelling)
        if folded in found and found[folded] != column:
            raise ValueError(f"columns.csv: {spelling!r} has two meanings")
        found[folded] = column
    return found
