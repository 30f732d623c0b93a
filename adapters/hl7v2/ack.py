"""Acknowledgments: AA, AE, AR, CA or CE, MSA-2 byte for byte MSH-10, ERR naming segment, field and line.

AA  the message is taken: by the journal or by the server, as its source is set.
AE  the content is at fault: sending it again unchanged does not help. The raw message is kept.
AR  the message type is not supported (kept), or it could not be taken just now (not kept: send it again).
CA  enhanced mode: the message is safe here, whatever its content. CE: it is not; send it again.
"""

import re
from collections.abc import Sequence

from adapters.contract import Problem
from adapters.hl7v2.delimiters import Delimiters
from adapters.hl7v2.message import Line, Message
from adapters.kit.transaction import sentence

APPLICATION = "TIERCARE"
_SHOWN_ERRORS = 20  # ERR segments in one answer; the DocumentReference has all of them
_TEXT_MAX = 250  # characters of MSA-3 and ERR-8, the length that v2.5 gives a user message

# FHIR issue type -> HL7 table 0357 (code, text)
_CONDITIONS = {
    "structure": ("100", "Segment sequence error"),
    "required": ("101", "Required field missing"),
    "incomplete": ("101", "Required field missing"),
    "value": ("102", "Data type error"),
    "invalid": ("102", "Data type error"),
    "code-invalid": ("103", "Table value not found"),
    "not-supported": ("200", "Unsupported message type"),
    "duplicate": ("205", "Duplicate key identifier"),
    "too-long": ("102", "Data type error"),
}
_POSITIVE = ("AA", "CA")
_INTERNAL = ("207", "Application internal error")
_PLACE = re.compile(r"(?P<segment>[A-Z][A-Z0-9]{2})(?:-(?P<field>\d+))?(?:\[(?P<rep>\d+)\])?(?:\.(?P<component>\d+))?")


def answer_code(problems: Sequence[Problem], again: bool) -> str:
    """AA, AE or AR of what was found; `again`: the server did not take it and nothing is kept."""
    if again:
        return "AR"
    errors = [problem for problem in problems if problem.severity in ("fatal", "error")]
    if any(problem.code == "not-supported" and problem.field == "MSH-9" for problem in errors):
        return "AR"
    return "AE" if errors else "AA"


def acknowledge(message: Message | None, code: str, problems: Sequence[Problem], at: str, number: str) -> bytes:
    """The ACK of a message, in its delimiters and charset; of unreadable bytes (None), with an empty MSA-2.

    `at` is the time as an HL7 TS (`20230512093015+0800`), `number` the answer's own MSH-10.
    """
    message = message or Message([Line("MSH", "MSH|^~\\&|", 1)], "utf-8")
    marks = message.delimiters
    escape = message.escapes.encode
    errors = [problem for problem in problems if problem.severity in ("fatal", "error")]
    text = [escape(sentence(errors[0])[:_TEXT_MAX])] if errors and code not in _POSITIVE else []
    segments = [_header(message, at, number), ["MSA", code, message.header.raw(10), *text]]
    if code not in _POSITIVE:
        segments += [_error(message, marks, problem) for problem in errors[:_SHOWN_ERRORS]]
    return "".join(marks.field.join(fields) + "\r" for fields in segments).encode(message.charset, "replace")


def is_enhanced(message: Message | None) -> bool:
    """Whether the sender asks for enhanced mode: MSH-15 or MSH-16 says something."""
    return message is not None and any(message.header.raw(field).strip() for field in (15, 16))


def asked(message: Message | None, field: int, code: str = "") -> bool:
    """Whether MSH-15 or MSH-16 (table 0155: AL, NE, ER, SU) asks for an answer with this code; without a code, whether
    it may ask for any. Nothing in it, where the other field says something, means NE."""
    condition = message.header.raw(field).strip().upper() if message is not None else ""
    if not code:
        return condition in ("AL", "ER", "SU")
    return condition == "AL" or condition == ("SU" if code in _POSITIVE else "ER")


def is_acknowledgment(message: Message) -> bool:
    """Whether a message is itself an answer: answering it could go on forever."""
    return message.type.startswith(("ACK", "MCF")) or message.first("MSA") is not None


def _header(message: Message, at: str, number: str) -> list[str]:
    """MSH with sender and receiver exchanged; processing id, version and charset are the message's own."""
    raw, marks = message.header.raw, message.delimiters
    event = message.header.value(9).component(2)
    kind = marks.component.join(["ACK", message.escapes.encode(event), "ACK"]) if event else "ACK"
    fields = ["MSH", marks.encoding, raw(5) or APPLICATION, raw(6), raw(3), raw(4), at, "", kind, number]
    charset = ["", "", "", "", "", raw(18)] if raw(18) else []
    return [*fields, raw(11) or "P", raw(12) or "2.5", *charset]


def _error(message: Message, marks: Delimiters, problem: Problem) -> list[str]:
    """ERR in the form of v2.5: location in 2, table 0357 in 3, severity in 4, line in 7, the sentence in 8."""
    condition, text = _CONDITIONS.get(problem.code, _INTERNAL)
    what = marks.component.join([condition, text, "HL70357"])
    line = f"line {problem.line}" if problem.line is not None else ""
    return ["ERR", "", _location(message, marks, problem), what, "E", "", "", line, _sentence(message, problem)]


def _sentence(message: Message, problem: Problem) -> str:
    return message.escapes.encode(sentence(problem)[:_TEXT_MAX])


def _location(message: Message, marks: Delimiters, problem: Problem) -> str:
    """ERL: segment^sequence^field^repetition^component; '' for a problem without a place."""
    place = _PLACE.fullmatch(problem.field)
    if place is None:
        return ""
    name = place["segment"]
    same = (segment for segment in message.segments if segment.name == name and segment.line == problem.line)
    found = next(same, None)
    parts = [name, str(found.number if found else 1)]
    if place["field"]:
        parts += [place["field"], place["rep"] or "1"]
        if place["component"]:
            parts.append(place["component"])
    return marks.component.join(parts)
