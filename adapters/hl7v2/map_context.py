"""What the rules of one message share: the sender, the keys, the people and places already made, the problems."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote

from adapters.contract import Mapped, Mode, Resource, Trace
from adapters.contract import Problem as _Problem
from adapters.hl7v2.message import Message, Segment, Value
from adapters.hl7v2.override import Site
from adapters.kit import dates
from adapters.kit.resource import Made, reference

V2 = "http://terminology.hl7.org/CodeSystem/v2-"


@dataclass(frozen=True, slots=True)
class Event:
    """A row of tables/events.csv: what a message type means."""

    name: str = ""
    structure: str = ""
    patient: str = ""
    state: str = ""


Row = tuple[int, str, Callable[["Context", Value], object]]
"""(field, element, how it is read). `element[]` takes every repetition, `element` the first one that says anything."""


class Context:
    """One message on its way to FHIR. Rules add items, traces and problems to `mapped` through it."""

    def __init__(self, message: Message, site: Site, event: Event) -> None:
        self.message, self.site, self.event = message, site, event
        header = message.header
        application, facility = header.value(3).component(1), header.value(4).component(1)
        source = "/".join(part for part in (application, facility) if part)
        self.mapped = Mapped(message.type, source or "unnamed sender")
        self.issuer = quote(facility or application or "unnamed", safe=".-_")
        self.patient: Made | None = None
        self.patient_key = ""
        self.encounter: Made | None = None
        self.organization: Resource | None = None
        self.in_envelope: set[tuple[int | None, str]] = set()  # (line, place) of what the raw message's own record says
        self.systems: dict[str, str] = {}  # coding system names already looked up
        self._made: dict[str, Made] = {}
        self._by_url: dict[str, Made] = {}
        self._seen: dict[tuple[str, ...], int] = {}
        if not source:
            self.problem(
                "warning", "incomplete", "the sender gives no name; its numbers may meet another's", "MSH-3", 1
            )

    # ------------------------------------------------------------------------------------------- problems
    def problem(self, severity: str, code: str, text: str, field: str = "", line: int | None = None) -> None:
        self.mapped.problems.append(_Problem(severity, code, text, field, line))  # type: ignore[arg-type]

    def row(self, table: str, code: str) -> tuple[str, ...] | None:
        """The row of a code in one of our tables, or in the site's own."""
        return self.site.row(table, code) if code else None

    def unknown(self, value: Value, text: str, what: str) -> None:
        """A code that no table knows: it is kept as text where FHIR has room; the field's policy says what else."""
        policy = self.site.policy(value.place.partition("[")[0])
        severity = {"keep": "information", "reject": "error"}.get(policy, "warning")
        code = "review" if policy == "queue" else "code-invalid"
        self.problem(severity, code, f"{text} is not a known {what}", value.place, value.line)

    # ---------------------------------------------------------------------------------------------- dates
    def when(self, value: Value, component: int = 1) -> str:
        """FHIR dateTime of a TS/DTM/DT; an impossible one is an error of the message."""
        text = value.component(component)
        try:
            return dates.date_time(text, self.site.zone) if text else ""
        except ValueError as problem:
            self.problem("error", "value", str(problem), value.place, value.line)
            return ""

    def when_it_is(self, value: Value) -> str:
        """Like `when`, for a value that may be a text instead (OBX-5): a warning, and ''."""
        text = value.component(1)
        try:
            return dates.date_time(text, self.site.zone) if text else ""
        except ValueError as problem:
            self.problem("warning", "value", f"{problem}; kept as text", value.place, value.line)
            return ""

    def day(self, value: Value) -> str:
        return self.when(value).partition("T")[0]

    def instant(self, value: Value) -> str:
        at = self.when(value)
        return at if "T" in at else ""

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
        parts = [_quoted(name) for name in names if name]
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
        return self.short(made) if made else "message"

    def short(self, made: Made) -> str:
        """A resource's key without the source, as a part of another key."""
        return made.key.removeprefix(self.mapped.source + "|")

    # ---------------------------------------------------------------------------------------------- making
    def make(self, type: str, key: str, mode: Mode) -> Made:
        made = self._made[key] = self._by_url[reference(key)["reference"]] = Made(self.mapped, type, key, mode)
        return made

    def made(self, key: str) -> Made | None:
        return self._made.get(key)

    def referenced(self, target: Resource) -> Made | None:
        """The resource of this message that a reference points at."""
        return self._by_url.get(target.get("reference", ""))

    def subject(self) -> Resource:
        return reference(self.patient_key)

    def about(self, made: Made, patient: str = "subject", encounter: str = "encounter") -> None:
        """Whom and which visit a resource is about."""
        made.put(patient, self.subject(), "PID-3")
        if self.encounter and encounter:
            made.put(encounter, self.encounter.reference(), "PV1-19")

    def fill(self, made: Made, segment: Segment | None, rows: Sequence[Row]) -> None:
        """The fields of a segment that become one element each. A field whose element is there already is left."""
        if segment is None:
            return
        for number, element, read in rows:
            if not segment.raw(number):
                continue
            if element.endswith("[]"):
                for value in segment.values(number):
                    made.add(element[:-2], read(self, value), value.place, value.line)
            elif element not in made.resource:
                for value in segment.values(number):
                    content = read(self, value)
                    if content not in (None, "", [], {}):
                        made.put(element, content, value.place, value.line)
                        break

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

    def traced(self, made: Made, element: str, *values: Value) -> None:
        """Says which fields an element came from, besides the one that was told when it was set."""
        self.mapped.trace.extend(
            Trace(made.key, f"{made.type}.{element}", value.place, value.line) for value in values if value
        )

    def landed(self, *values: Value) -> None:
        """Says that these became elements of the raw message's own DocumentReference or Provenance."""
        self.in_envelope.update((value.line, value.place) for value in values)

    def repeats(self, segment: Segment) -> bool:
        """Whether an equal segment (but for its set id) stands before this one: it says nothing new."""
        separator = self.message.delimiters.field
        seen = ("segment", segment.name, segment.text.split(separator, 2)[-1])
        count = self._seen[seen] = self._seen.get(seen, 0) + 1
        if count > 1:
            self.problem("information", "duplicate", "says what an earlier segment says", segment.name, segment.line)
            for number in range(1, segment.text.count(separator) + 1):
                for value in segment.values(number):
                    value.taken()
        return count > 1


@lru_cache(maxsize=4096)  # the names of a sender's own numberings are few
def _quoted(name: str) -> str:
    return quote(name, safe=".-_")


def filled(resource: Resource) -> Resource:
    """The resource without what is empty."""
    return {key: value for key, value in resource.items() if value not in (None, "", [], {})}


def _before(one: str, other: str) -> bool:
    """Whether a dateTime lies before another, as far as both are precise."""
    if "T" in one and "T" in other:
        first, second = (datetime.fromisoformat(at.replace(":60", ":59")) for at in (one, other))  # leap seconds
        return first < second
    one, other = one.partition("T")[0], other.partition("T")[0]
    length = min(len(one), len(other))
    return one[:length] < other[:length]
