"""Bytes -> records: rows of a CSV or objects of a JSON, each with its exact bytes, and which layout it is."""

from adapters.contract import Parsed, Problem
from adapters.kit import charset, codes
from adapters.regional_json.record import PACKAGE
from adapters.roles.cut import Cut, cut_csv, cut_json
from adapters.roles.record import Record, columns_of, spelled

_JSON, _CSV = "application/json", "text/csv"


def recognises(content: bytes, name: str) -> bool:
    """JSON by its first character, CSV by a header line that is a layout's."""
    head = content[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:1] in (b"{", b"["):
        return True
    if head[:1] in (b"<", b""):
        return False
    header = charset.decode(head.split(b"\n", 1)[0]).text
    columns = [cell.strip().strip('"') for cell in header.replace("\t", ",").split(",")]
    return bool(_layout("", dict.fromkeys(columns, "")))


def parse(content: bytes, name: str) -> list[Parsed]:
    """One Parsed a row or object. What cannot be read has record None and a fatal problem with line and column."""
    decoded = charset.decode(content)
    is_json = decoded.text.lstrip()[:1] in ("{", "[")
    cuts = cut_json(decoded.text, lambda keys: bool(_layout("", keys))) if is_json else cut_csv(decoded.text)
    content_type = f"{_JSON if is_json else _CSV};charset={decoded.charset}"
    messages = [_message(cut, content, decoded, content_type) for cut in cuts]
    if not messages:
        problem = Problem("fatal", "required", "the file holds no referral", line=1)
        return [Parsed(content, content_type, None, [problem])]
    return messages


def _message(cut: Cut, content: bytes, decoded: charset.Decoded, content_type: str) -> Parsed:
    problems = list(cut.problems)
    if decoded.warning:
        problems.append(Problem("warning", "structure", decoded.warning))
    record = None
    if not any(p.severity == "fatal" for p in problems):
        layout = _layout(cut.table, _present(cut))
        if layout:
            record = _record(layout, cut)
            problems.extend(problem for rows in cut.groups.values() for row in rows for problem in row.problems)
        else:
            problems.append(_unknown(cut))
    raw = cut.header.encode(decoded.charset) + _exact(cut, content, decoded)
    return Parsed(raw, content_type, record, problems, cut.line)


def _exact(cut: Cut, content: bytes, decoded: charset.Decoded) -> bytes:
    """The bytes of the cut. All three charsets give back the bytes they were decoded from, but for a cut-off last
    character (U+FFFD in the text): there the tail of the content is taken."""
    if cut.end == len(decoded.text) and decoded.warning and decoded.text.endswith("\ufffd"):
        rest = decoded.text[cut.start :].removesuffix("\ufffd").encode(decoded.charset)
        before = decoded.text[: cut.start].encode(decoded.charset)
        body = content.removeprefix(b"\xef\xbb\xbf")
        return rest + body[len(before) + len(rest) :]
    return decoded.text[cut.start : cut.end].encode(decoded.charset)


def _present(cut: Cut) -> dict[str, str]:
    return {**{key: cell.text for key, cell in cut.cells.items()}, **dict.fromkeys(cut.groups, "")}


def _layout(table: str, columns: dict[str, str]) -> str:
    """The layout by the table's own name, else the first whose signature fits; '' = nobody knows it."""
    layouts = codes.table(PACKAGE, "layouts")
    for layout in layouts:
        if layout.lower() == table.lower():
            return layout
    present = {column.lower(): value for column, value in columns.items()}
    for layout, (_, _, _, signature, _) in layouts.items():
        if any(
            all(_has(present, part) for part in alternative.lower().split()) for alternative in signature.split("|")
        ):
            return layout
    return ""


def _has(present: dict[str, str], part: str) -> bool:
    """`column`, or `column=value`."""
    column, _, value = part.partition("=")
    return column in present and (not value or present[column].lower() == value)


def _record(layout: str, cut: Cut) -> Record:
    """Groups have a table of their own, `tables/<layout>.<group>.csv`, or none: then they are listed as unmapped."""
    columns = columns_of(PACKAGE, layout)
    groups = {name: [_group(f"{layout}.{name}", row) for row in rows] for name, rows in cut.groups.items()}
    return Record(layout, spelled(columns, cut.cells), cut.line, PACKAGE, columns, groups)


def _group(name: str, row: Cut) -> Record:
    known = name in codes.table(PACKAGE, "groups")
    columns = columns_of(PACKAGE, codes.table(PACKAGE, "groups")[name][0]) if known else {}
    return Record(name, spelled(columns, row.cells), row.line, PACKAGE, columns)


def _unknown(cut: Cut) -> Problem:
    keys = ", ".join(list(cut.cells)[:40]) or "none"
    known = ", ".join(codes.table(PACKAGE, "layouts"))
    where = f" of table {cut.table}" if cut.table else ""
    text = f"no layout has these keys{where}: {keys}; known layouts: {known}"
    return Problem("fatal", "not-supported", text, line=cut.line)
