"""From bytes to HL7 v2 messages: decode, find the segments, split batches. Decoding comes first, splitting second.

In GB18030 the bytes of | ^ ~ and \\ are second bytes of ideographs (珅 璡 珇), so a message is never split as bytes.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from adapters.contract import Parsed, Problem
from adapters.hl7v2.delimiters import Delimiters
from adapters.hl7v2.message import SEGMENT, Line, Message
from adapters.kit.charset import decode

CONTENT_TYPE = "x-application/hl7-v2+er7"
BATCH = ("FHS", "BHS", "BTS", "FTS")

_HEADER = re.compile(r"(MSH|FHS|BHS)[^A-Za-z0-9\s]")


@dataclass(slots=True)
class _Cut:
    """One message of the content while it is being put together."""

    start: int
    lines: list[Line] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def recognises(content: bytes) -> bool:
    """Whether the content begins like HL7 v2: MSH, FHS or BHS after an optional BOM, frame mark or blank."""
    head = content[:64].lstrip(b"\xef\xbb\xbf\x0b \t\r\n")
    return bool(re.match(rb"(MSH|FHS|BHS)[^A-Za-z0-9\s]", head))


def parse(content: bytes) -> list[Parsed]:
    """All messages of a content: one, several one after another, or those of an FHS/BHS batch.

    Content that holds no message gives one Parsed without a record. Lines count from 1 in each message.
    """
    decoded = decode(content, _declared(content))
    found = [Problem("warning", "invalid", decoded.warning, "MSH-18", 1)] if decoded.warning else []
    text = decoded.text
    cuts, batch_problems = _cut(text)
    if not cuts:
        problem = Problem("error", "structure", _why_no_message(text), line=1, column=1)
        return [Parsed(content, CONTENT_TYPE, None, [problem, *found])]
    breaks = _line_breaks(text)
    ends = [cut.start for cut in cuts[1:]] + [len(text)]
    result = []
    for cut, end in zip(cuts, ends, strict=True):
        raw = content if len(cuts) == 1 else text[cut.start : end].encode(decoded.charset, "replace")
        first = 1 if len(cuts) == 1 else _line_of(breaks, cut.start)
        lines = [Line(line.name, line.text, line.line - first + 1) for line in cut.lines]
        problems = [Problem(p.severity, p.code, p.text, p.field, (p.line or first) - first + 1) for p in cut.problems]
        result.append(Parsed(raw, CONTENT_TYPE, Message(lines, decoded.charset), [*problems, *found], first))
    result[0].problems.extend(batch_problems)
    return result


def _declared(content: bytes) -> str:
    """MSH-18 as far as bytes can tell: only a hint, so a wrong split does no harm."""
    at = content.find(b"MSH")
    if at < 0 or len(content) < at + 4:
        return ""
    header = re.split(rb"[\r\n]", content[at:], maxsplit=1)[0]
    fields = header.split(header[3:4])
    return fields[17].decode("latin-1").strip() if len(fields) > 17 else ""


def _cut(text: str) -> tuple[list[_Cut], list[Problem]]:
    """The messages of a text, and what is wrong with the batch around them."""
    cuts: list[_Cut] = []
    problems: list[Problem] = []
    batch = _Batch()
    breaks = _line_breaks(text)
    for start, line in _segments(text):
        number = _line_of(breaks, start)
        name = line[:3]
        if name == "MSH" and _HEADER.match(line):
            cuts.append(_Cut(start))
        elif name in BATCH:
            problems.extend(batch.seen(name, line, number, len(cuts)))
            continue
        if not cuts:
            problems.append(Problem("warning", "structure", f"{_shown(line)} stands before MSH; left out", line=number))
        elif _is_segment(line, cuts[-1]):
            cuts[-1].lines.append(Line(name, line, number))
        else:
            cuts[-1].problems.append(
                Problem("error", "structure", f"{_shown(line)} does not begin with a segment name", line=number)
            )
    problems.extend(batch.ended(len(breaks) + 1))
    return cuts, problems


def _segments(text: str) -> Iterator[tuple[int, str]]:
    """(offset, text) of the segments. CR ends one. LF ends one too if no CR is used, or if a segment follows it:
    where CR ends the segments, any other LF is data (a report's own line breaks)."""
    end = r"\r\n?|\n(?=[A-Z][A-Z0-9]{2}[^A-Za-z0-9\s]|\s*\Z)" if "\r" in text else r"\n"
    at = 0
    for match in [*re.finditer(end, text), None]:
        stop = match.start() if match else len(text)
        line = text[at:stop].strip("\x0b\x1c\x00")
        if line.strip():
            yield at + len(text[at:stop]) - len(text[at:stop].lstrip("\x0b\x1c\x00")), line
        at = match.end() if match else stop


def _is_segment(line: str, cut: _Cut) -> bool:
    """Three characters, then the field separator or nothing at all (`NTE` alone is an empty segment)."""
    separator = cut.lines[0].text[3] if cut.lines else line[3:4]
    return bool(SEGMENT.match(line)) and line[3:4] in ("", separator)


class _Batch:
    """FHS, BHS, BTS, FTS: how many messages a batch holds and a file how many batches, against what they say."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.batches = self.before = 0

    def seen(self, name: str, line: str, number: int, messages: int) -> list[Problem]:
        """Notes one of the four; `messages` is how many stand before it."""
        if name in ("FHS", "BHS"):
            self.open.append(name)
            self.batches += name == "BHS"
            self.before = messages if name == "BHS" else self.before
            return []
        opened = {"BTS": "BHS", "FTS": "FHS"}[name]
        if opened in self.open:
            self.open.remove(opened)
        if name == "BTS":
            return _counted(number, line, messages - self.before, "batch", "messages")
        return _counted(number, line, self.batches, "file", "batches") if self.batches else []

    def ended(self, number: int) -> list[Problem]:
        text = "it is not closed: its end may be cut off"
        return [
            Problem("warning", "structure", f"{name} opens a batch or file; {text}", name, number) for name in self.open
        ]


def _counted(number: int, line: str, found: int, whole: str, parts: str) -> list[Problem]:
    """BTS-1 and FTS-1 say how many parts there are."""
    separator = line[3:4] or Delimiters().field
    said = [*line.split(separator), ""][1].strip()
    if said.isdigit() and int(said) != found:
        text = f"the {whole} says {said} {parts} and holds {found}"
        return [Problem("warning", "structure", text, f"{line[:3]}-1", number)]
    return []


def _line_breaks(text: str) -> list[int]:
    return [match.end() for match in re.finditer(r"\r\n?|\n", text)]


def _line_of(breaks: list[int], offset: int) -> int:
    return bisect_right(breaks, offset) + 1


def _shown(line: str) -> str:
    return f"'{line[:20]}…'" if len(line) > 20 else f"'{line}'"


def _why_no_message(text: str) -> str:
    if not text.strip("\x0b\x1c\r\n \t"):
        return "the content is empty"
    return f"no HL7 v2 message: it begins with {_shown(text.lstrip())}, not with MSH and a field separator"
