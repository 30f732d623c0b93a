"""The work on one document: what was made, which nodes a rule has used, what a person should know."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

from adapters.cda.record import Document, Node
from adapters.cda.tables import DocumentType, data_element, identifier, real
from adapters.contract import Mapped, Mode, Problem, Resource, Severity
from adapters.kit import codes, dates
from adapters.kit.resource import Made, reference

DATA_ELEMENTS = "urn:oid:2.16.156.10011.2.2.1"  # 卫生信息数据元目录 (WS/T 363)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")


@dataclass(slots=True)
class Conversion:
    """State of one document's mapping. `key` names the document inside its source; every owned key begins with it."""

    document: Document
    type: DocumentType
    source: str
    institution: str  # who gave the numbers of patients, visits and staff
    key: str
    mapped: Mapped
    patient: Resource = field(default_factory=dict)  # reference
    encounter: Made | None = None
    authors: list[Resource] = field(default_factory=list)  # references, the document's author first
    custodian: Resource | None = None
    asking: tuple[Node, Resource | None, Resource | None] | None = None  # author element, person, institution
    hospitalization: Resource = field(default_factory=dict)  # of the encounter
    diagnoses: list[tuple[str, Made]] = field(default_factory=list)  # (admission | discharge | encounter, Condition)
    care_plans: list[Made] = field(default_factory=list)
    referrals: list[Made] = field(default_factory=list)
    observations: set[str] = field(default_factory=set)  # their references, to know a member from other parts
    consolidated: bool = False  # C-CDA: dates are read leniently, identifiers may be a root alone
    author_is_person: bool = False  # the first of `authors` is a Practitioner
    zone: str = ""  # of times that say none; "": that of the source
    shared: dict[str, Made] = field(default_factory=dict)  # persons and institutions by key, made once
    header_notes: list[tuple[Node, str, str, Resource, str]] = field(default_factory=list)
    """Of the header, to become Observations: node, label, LOINC code, value[x], DE code."""
    _used: set[int] = field(default_factory=set)
    _kept: dict[int, str] = field(default_factory=dict)  # read, but not in an element of its own: why
    _anchors: dict[str, Node] | None = None

    # -------------------------------------------------------------------------------------------- problems
    def problem(self, severity: Severity, code: str, text: str, node: Node) -> None:
        self.mapped.problems.append(Problem(severity, code, text, node.path, node.line))

    # ------------------------------------------------------------------------------------------ accounting
    def use(self, *nodes: Node | None) -> None:
        """A rule has taken what these elements themselves say (not what stands below them)."""
        self._used.update(id(node) for node in nodes if node is not None)

    def use_all(self, node: Node) -> None:
        """A rule has taken the element and everything below it."""
        self.use(*node.walk())

    def keep(self, node: Node, reason: str) -> None:
        """The element and all below it were read, but only into prose (a note, a sentence): listed, not mapped."""
        for one in node.walk():
            self._used.add(id(one))
            self._kept[id(one)] = reason

    def kept(self, node: Node) -> str:
        return self._kept.get(id(node), "")

    def used(self, node: Node) -> bool:
        return id(node) in self._used

    # --------------------------------------------------------------------------------------------- reading
    def text(self, node: Node | None, kind: str = "any") -> str:
        """What an element says, in text, `literal` or `value`; '' for a placeholder."""
        if node is None:
            return ""
        self.use(node)
        return real(node.words() or node.get("literal") or node.get("value"), kind)

    def date_time(self, node: Node | None, attribute: str = "value") -> str:
        """FHIR dateTime of a TS; an impossible one is an error problem that names the element."""
        if node is None:
            return ""
        self.use(node)
        text = node.get(attribute) or node.words()
        try:
            return dates.date_time(text, self.zone)
        except ValueError as error:
            if self.consolidated:
                # A long summary of many years is not refused for one unreadable date in it; the raw message has it.
                self.problem("warning", "value", f"{error} ({node.name}): left out", node)
                self.keep(node, "not a date")
            else:
                self.problem("error", "value", f"{error} ({node.name})", node)
            return ""

    def period(self, node: Node | None) -> Resource:
        """FHIR Period of an IVL_TS with low and high; {} when it has neither. The end before the start: a warning, and
        only the start is kept (Period per-1)."""
        if node is None:
            return {}
        self.use(node)
        start, end = self.date_time(node.child("low")), self.date_time(node.child("high"))
        if start and end and before(end, start):
            self.problem("warning", "value", f"{end} is before {start}; the end is left out", node)
            end = ""
        return {name: value for name, value in (("start", start), ("end", end)) if value}

    def concept(self, node: Node | None, text: str = "") -> Resource | None:
        """CodeableConcept of a CD/CE: coding with its system, display and text as the source said them, then a coding
        for each translation. None when it has neither a code nor words (a nullFlavor)."""
        if node is None:
            return None
        self.use(node)
        code, display = real(node.get("code")), real(node.get("displayName"))
        original = node.child("originalText")
        words = text or (self.prose(original) if original is not None else "") or real(node.text)
        found = codes.concept(code, system_of(node), display, words)
        for other in node.named("translation"):
            self.use(other)
            more = codes.concept(real(other.get("code")), system_of(other), real(other.get("displayName")))
            if more is None or "coding" not in more:
                continue
            if found is None:
                found = more
            else:
                codings = found.setdefault("coding", [])
                if more["coding"][0] not in codings:
                    codings.append(more["coding"][0])
        return found

    def prose(self, node: Node) -> str:
        """The words of an ED: its own, else those of the section's text that its `reference value="#id"` leads to."""
        self.use(node)
        words = node.words()
        pointer = node.child("reference")
        if pointer is None:
            return words
        self.use(pointer)
        if words:
            return words
        target = self._anchored(pointer.get("value").removeprefix("#"))
        return " ".join(target.words().split()) if target is not None else ""

    def _anchored(self, name: str) -> Node | None:
        if self._anchors is None:
            self._anchors = {}
            for node in self.document.root.walk():
                anchor = node.attributes.get("ID")
                if anchor:
                    self._anchors.setdefault(anchor, node)
        return self._anchors.get(name) if name else None

    def identifier(self, node: Node) -> Resource | None:
        """Identifier of an II: root as system (the table's, else by OID), extension as value; None for placeholders."""
        self.use(node)
        root, value = node.get("root"), real(node.get("extension"), "id")
        if not value:
            return _root_alone(root) if self.consolidated else None
        row = identifier(root)
        system = row[0] if row else codes.system_of(real(root))
        return {
            **({"type": {"text": row[1]}} if row else {}),
            **({"system": system} if system else {}),
            "value": value,
        }

    # -------------------------------------------------------------------------------------------- making
    def made(self, type: str, node: Node, mode: Mode = "owned") -> Made:
        """A resource of this document, named by its place: the same document sent again names it the same."""
        return Made(self.mapped, type, f"{self.key}|{type}|{node.path}", mode)

    def about(self, made: Made) -> None:
        """subject and encounter."""
        made.put("subject", self.patient)
        if self.encounter is not None:
            made.put("encounter", reference(self.encounter.key))

    def local_system(self, root: str, owner: str = "") -> str:
        """The system of a number that means something only within `owner` (the institution): two hospitals both have
        a bed 1 and an employee 234, and must never be taken for one."""
        return f"urn:tiercare:local:{quote(owner or self.institution, safe='')}:{quote(root, safe='.')}"


def system_of(node: Node) -> str:
    """The system of a coded node: the codeSystem, or what codeSystemName says when the OID is missing or mistyped."""
    oid, name = node.get("codeSystem"), node.get("codeSystemName").upper().replace(" ", "")
    if name == "LOINC" or oid == "LOINC":
        return codes.LOINC
    if data_element(node.get("code")).startswith("DE"):
        return DATA_ELEMENTS
    return codes.system_of(oid)


def _root_alone(root: str) -> Resource | None:
    """An II whose root is the whole identifier: a UUID or an OID (HL7 v3 data types, II)."""
    if _UUID.fullmatch(root):
        return {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{root.lower()}"}
    if _OID.fullmatch(root):
        return {"system": "urn:ietf:rfc:3986", "value": f"urn:oid:{root}"}
    return None


def before(one: str, other: str) -> bool:
    """Whether a FHIR dateTime is certainly before another: compared at the precision that both have."""
    if "T" in one and "T" in other:
        return datetime.fromisoformat(one) < datetime.fromisoformat(other)
    length = min(len(one), len(other), len("2023-05-12"))
    return one[:length] < other[:length]


def _first(node: Node, name: str) -> str:
    child = node.child(name)
    return child.words() if child is not None else ""
