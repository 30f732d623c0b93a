"""What an adapter is: bytes in, one idempotent FHIR transaction for each message out, and every doubt said aloud.

    content --parse--> Parsed (raw bytes, record) --map--> Mapped (resources, trace, problems) --bundle--> transaction

parse, map and bundle are pure: no clock, no network, no files. The same bytes give the same transaction, always;
that is what makes a second delivery change nothing. An adapter is found by the entry point `tiercare.adapters`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

Resource = dict[str, Any]

Severity = Literal["fatal", "error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a person should know about a message.

    fatal and error: nothing of the message is written, only the raw bytes are kept. warning: written, look at it.
    information: a field that no rule maps (`code="unmapped"`). `code` is of http://hl7.org/fhir/issue-type,
    "unmapped", or "review" (a code that waits for somebody to translate it; it is written as text meanwhile).
    `line` and `column` count from 1 in the raw message; `field` is the source's own name of the place
    (`PID-7`, `csrq`, `section 46209-3`, `/ClinicalDocument/recordTarget[1]/…`).
    """

    severity: Severity
    code: str
    text: str
    field: str = ""
    line: int | None = None
    column: int | None = None


class Trace(NamedTuple):
    """Where an element came from: `element` is a path inside the resource with this key (`Patient.birthDate`)."""

    key: str
    element: str
    field: str
    line: int | None = None


Mode = Literal["owned", "shared", "refreshed"]


@dataclass(slots=True)
class Item:
    """One resource of a message and how it is written.

    key        names the resource inside its source system, deterministically (`ADT-HIS|visit|112996027`); other
               resources point at it with `kit.resource.reference(key)`.
    owned      the message's source is its only author: PUT Type/<uuid5 of the key>.
    shared     a person, institution or place that others know too: POST with ifNoneExist on its first identifier;
               what is stored already is left alone.
    refreshed  like shared, but this message is the authority: PUT Type?identifier=… (an ADT's patient).
    """

    key: str
    mode: Mode
    resource: Resource


@dataclass(slots=True)
class Parsed:
    """One message cut out of a content. `record` is None when it could not be read; then `problems` says why."""

    raw: bytes
    content_type: str
    record: Any
    problems: list[Problem] = field(default_factory=list)
    line: int = 1  # where the message starts in the content


@dataclass(slots=True)
class Leaves:
    """What became of every leaf of a message that says something: a component of HL7 v2, a DE value, a column.

    A leaf is mapped only when it lands in its own R4 element or a coded Observation; narrative, Binary, Basic and
    catch-all extensions do not count. `listed` has all the others: (place, line, reason).
    """

    present: int = 0
    mapped: int = 0
    listed: list[tuple[str, int, str]] = field(default_factory=list)


@dataclass(slots=True)
class Mapped:
    """What a message means in FHIR. `when` is the time the source gave the message (FHIR dateTime), '' if none."""

    kind: str  # `ADT^A01`, `C0049 出院记录`, `treatment_referral`: for people and DocumentReference.type
    source: str  # the sending system: MSH-3/4, custodian, jgdm ...; part of every key
    items: list[Item] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    trace: list[Trace] = field(default_factory=list)
    when: str = ""
    subject: str = ""  # key of the patient's item, if there is one
    leaves: Leaves | None = None  # None: the adapter does not count them
    document: Resource = field(default_factory=dict)  # what the message says of itself: more elements of the raw
    provenance: Resource = field(default_factory=dict)  # message's DocumentReference and of the Provenance

    @property
    def failed(self) -> bool:
        return any(problem.severity in ("fatal", "error") for problem in self.problems)


@runtime_checkable
class Configurable(Protocol):
    """An adapter that a site can change by small files of its own."""

    def configured(self, overrides: Sequence[tuple[str, str]]) -> "Adapter":
        """The adapter with (file name, text) of override files; the first one that fits a message counts.

        Raises ValueError: one sentence that names the file, the line and what is expected there.
        """
        ...


class Adapter(Protocol):
    """One legacy format. `version` is the mapping's revision: it stands in Provenance and changes with the output."""

    name: str
    version: str
    title: str

    def recognises(self, content: bytes, name: str) -> bool:
        """Whether the content (a file called `name`, '' when unknown) is in this format. Cheap, never raises."""
        ...

    def parse(self, content: bytes, name: str) -> list[Parsed]:
        """All messages of the content, in order. Never raises for bad input: an unreadable one is a Parsed too."""
        ...

    def map(self, record: Any) -> Mapped:
        """A record's resources. Never raises for bad input: `problems` carries what is wrong."""
        ...

    def bundle(self, parsed: Parsed, mapped: Mapped | None, problems: Sequence[Problem], recorded: str) -> Resource:
        """The transaction of one message; with mapped None or failed: the raw message and why it was not converted.

        `recorded` is the instant of this conversion (Provenance.recorded), the only thing that differs between runs.
        """
        ...
