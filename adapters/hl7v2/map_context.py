"""What the rules of one message share: the sender, the keys, the people and places already made, the problems."""

from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote

from adapters.contract import Mapped, Mode, Resource, Trace
from adapters.contract import Problem as _Problem
from adapters.hl7v2.message import Message, Segment, Value
from adapters.kit import codes, dates
from adapters.kit.resource import Made, reference

TABLES = "adapters.hl7v2"
V2 = "http://terminology.hl7.org/CodeSystem/v2-"


def said(text: str) -> str:
    """The text, or '' when it only says that there is nothing (`无`, `-`, `同上` = as above, which has no referent)."""
    return "" if not text or codes.absent(text) or text.strip() == "同上" else text.strip()


class Context:
    """One message on its way to FHIR. Rules add items, traces and problems to `mapped` through it."""

    def __init__(self, message: Message) -> None:
        self.message = message
        header = message.header
        application, facility = header.value(3).component(1), header.value(4).component(1)
        source = "/".join(part for part in (application, facility) if part)
        self.mapped = Mapped(message.type, source or "unnamed sender")
        self.issuer = quote(facility or application or "unnamed", safe=".-_")
        self.patient: Made | None = None
        self.patient_key = ""
        self.encounter: Made | None = None
        self.organization: Resource | None = None
        self._made: dict[str, Made] = {}
        self._seen: dict[tuple[str, ...], int] = {}
        if not source:
            self.problem(
                "warning", "incomplete", "the sender gives no name; its numbers may meet another's", "MSH-3", 1
            )

    # ------------------------------------------------------------------------------------------- problems
    def problem(self, severity: str, code: str, text: str, field: str = "", line: int | None = None) -> None:
        self.mapped.problems.append(_Problem(severity, code, text, field, line))  # type: ignore[arg-type]

    def unknown(self, value: Value, text: str, what: str) -> None:
        """A code that no table knows: it is kept as text where FHIR has room, and always here."""
        self.problem("warning", "code-invalid", f"{text} is not a known {what}", value.place, value.line)

    # ---------------------------------------------------------------------------------------------- dates
    def when(self, value: Value, component: int = 1) -> str:
        """FHIR dateTime of a TS/DTM/DT; an impossible one is an error of the message."""
        return self._date(value, component, dates.date_time)

    def day(self, value: Value) -> str:
        return self._date(value, 1, dates.date)

    def instant(self, value: Value) -> str:
        return self._date(value, 1, dates.instant)

    def _date(self, value: Value, component: int, read: Callable[[str], str]) -> str:
        text = value.component(component)
        try:
            return read(text) if text else ""
        except ValueError as problem:
            self.problem("error", "value", str(problem), value.place, value.line)
            return ""

    def period(self, start: Value, end: Value, components: tuple[int, int] = (1, 1)) -> Resource:
        """Period of two fields (or of two components); an end before its start (rule per-1) is left out, said so."""
        begin, finish = self.when(start, components[0]), self.when(end, components[1])
        if begin and finish and _before(finish, begin):
            self.problem("warning", "business-rule", f"{finish} lies before {begin}; left out", end.place, end.line)
            finish = ""
        return filled({"start": begin, "end": finish})

    # ----------------------------------------------------------------------------------- systems and keys
    def local(self, *names: str) -> str:
        """The system of what the sender numbers itself: `urn:tiercare:hl7v2:<facility>:<what>:<authority>:<type>`.

        The facility itself as authority is left out: some messages name it, others do not.
        """
        parts = [quote(name, safe=".-_") for name in names if name]
        return ":".join(["urn:tiercare:hl7v2", self.issuer, *(part for part in parts if part != self.issuer)])

    def key(self, *parts: str) -> str:
        return "|".join([self.mapped.source, *parts])

    def own_key(self, *parts: str) -> str:
        """Like `key`, but a second resource of the same description gets a key of its own (`…|2`)."""
        count = self._seen[parts] = self._seen.get(parts, 0) + 1
        return self.key(*parts) if count == 1 else self.key(*parts, str(count))

    def scope(self) -> str:
        """What a resource of this message hangs on: its visit, or its patient where there is no visit."""
        made = self.encounter or self.patient
        return made.key.removeprefix(self.mapped.source + "|") if made else "message"

    # ---------------------------------------------------------------------------------------------- making
    def make(self, type: str, key: str, mode: Mode) -> Made:
        made = self._made[key] = Made(self.mapped, type, key, mode)
        return made

    def made(self, key: str) -> Made | None:
        return self._made.get(key)

    def referenced(self, target: Resource) -> Made | None:
        """The resource of this message that a reference points at."""
        return next(
            (made for key, made in self._made.items() if reference(key)["reference"] == target.get("reference")), None
        )

    def subject(self) -> Resource:
        return reference(self.patient_key)

    def inner(self, made: Made, element: str, parts: list[tuple[str, object, Value]]) -> None:
        """Sets a backbone element from several fields: one trace for each part that has a value."""
        content = {name: value for name, value, _ in parts if value not in (None, "", [], {})}
        if not content:
            return
        made.resource.setdefault(element, {}).update(content)
        self.mapped.trace.extend(
            Trace(made.key, f"{made.type}.{element}.{name}", value.place, value.line)
            for name, _, value in parts
            if name in content
        )

    def repeats(self, segment: Segment) -> bool:
        """Whether an equal segment (but for its set id) stands before this one: it says nothing new."""
        separator = self.message.delimiters.field
        seen = ("segment", segment.name, segment.text.split(separator, 2)[-1])
        count = self._seen[seen] = self._seen.get(seen, 0) + 1
        if count > 1:
            self.problem("information", "duplicate", "says what an earlier segment says", segment.name, segment.line)
            for number in range(1, segment.text.count(separator) + 1):
                segment.note(number)
        return count > 1


def filled(resource: Resource) -> Resource:
    """The resource without what is empty."""
    return {key: value for key, value in resource.items() if value not in (None, "", [], {})}


def lookup(table: str, code: str) -> tuple[str, ...] | None:
    """The row of a code in one of our tables; codes are compared in capitals too (`p`, `Sel`)."""
    rows = codes.table(TABLES, table)
    return rows.get(code) or rows.get(code.upper())


def _before(one: str, other: str) -> bool:
    """Whether a dateTime lies before another, as far as both are precise."""
    if "T" in one and "T" in other:
        return datetime.fromisoformat(one) < datetime.fromisoformat(other)
    one, other = one.partition("T")[0], other.partition("T")[0]
    length = min(len(one), len(other))
    return one[:length] < other[:length]
