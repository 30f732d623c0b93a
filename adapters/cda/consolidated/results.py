"""Findings -> Observation with its ranges; groups of them -> Observation with members, or DiagnosticReport."""

from adapters.cda.consolidated.fields import Row, authored, coded, fill, status
from adapters.cda.consolidated.templates import claims
from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.cda.section import Section
from adapters.cda.tables import status as state_of
from adapters.cda.values import quantity, value_of
from adapters.contract import Resource
from adapters.kit.resource import Made

_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_WHY = {"UNK": "unknown", "ASKU": "asked-unknown", "NASK": "not-asked", "NAV": "temp-unknown", "NA": "not-applicable"}
_SECTIONS = {
    "8716-3": "vital-signs",
    "30954-2": "laboratory",
    "29762-2": "social-history",
    "47420-5": "survey",
    "29545-1": "exam",
}
_TEMPLATES = (("22.4.27", "vital-signs"), ("22.4.2", "laboratory"), ("22.4.78", "social-history"))
_ROWS = (
    Row("id", "identifier", "identifiers"),
    Row("effectiveTime", "effective", "when"),
    Row("interpretationCode", "interpretation", "concepts"),
    Row("methodCode", "method", "concept"),
    Row("targetSiteCode", "bodySite", "concept"),
    Row("performer", "performer", "performers"),
)
_GROUP = (
    Row("id", "identifier", "identifiers"),
    Row("effectiveTime", "effective", "when"),
    Row("performer", "performer", "performers"),
)
_PARENTS = {"MedicationStatement", "MedicationDispense", "Procedure", "Immunization"}


def observation(
    work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None
) -> Made | None:
    """Observation: its value with its own type; what has none says why (dataAbsentReason)."""
    made = work.made("Observation", node)
    work.observations.add(made.reference()["reference"])
    fill(work, made, node, _ROWS)
    made.put("status", _state(work, node), node.path, node.line)
    category = _category(section, node)
    if category:
        made.add("category", category)
    made.put("code", _code(work, section, node), f"{node.path}/code", node.line)
    work.about(made)
    if part_of is not None:
        made.add("partOf" if part_of.type in _PARENTS else "focus", part_of.reference())
    _value(work, made, node)
    for range_ in node.all("referenceRange/observationRange"):
        work.use(range_)
        made.add("referenceRange", _range(work, range_), range_.path, range_.line)
    authored(work, made, node, "performer", "issued")
    for value in node.named("priorityCode"):
        made.add("note", _noted(work, value), value.path, value.line)
    return made


def group(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made | None:
    """An organizer -> Observation that holds its members; None for one without a code."""
    concept = work.concept(node.child("code"))
    if concept is None:
        return None
    made = work.made("Observation", node)
    work.observations.add(made.reference()["reference"])
    fill(work, made, node, _GROUP)
    made.put("status", _state(work, node), node.path, node.line)
    category = _category(section, node)
    if category:
        made.add("category", category)
    made.put("code", concept, f"{node.path}/code", node.line)
    work.about(made)
    authored(work, made, node, "performer", "issued")
    return made


def report(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made | None:
    """A result organizer -> DiagnosticReport; its results are linked by the caller."""
    made = work.made("DiagnosticReport", node)
    fill(work, made, node, _GROUP)
    made.put("status", status(work, node, "report", "unknown"), node.path, node.line)
    lab = {"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB"}
    made.add("category", {"coding": [lab]})
    made.put("code", coded(work, node.child("code")), f"{node.path}/code", node.line)
    work.about(made)
    for specimen in node.named("specimen"):
        made.add("specimen", _specimen(work, specimen), specimen.path, specimen.line)
    authored(work, made, node, "performer", "issued")
    return made


# ------------------------------------------------------------------------------------------------------- parts
def _state(work: Conversion, node: Node) -> str:
    child = node.child("statusCode")
    work.use(child)
    return state_of("observation", child.get("code").lower() if child is not None else "")


def _category(section: Section, node: Node) -> Resource | None:
    code = next((found for template, found in _TEMPLATES if claims(node, template)), "")
    code = code or section.category or _SECTIONS.get(section.code, "")
    return {"coding": [{"system": _CATEGORY, "code": code}]} if code else None


def _code(work: Conversion, section: Section, node: Node) -> Resource:
    """The code; of an assertion, which names no question, the section's."""
    code = node.child("code")
    if code is not None and code.get("code").upper() in ("ASSERTION", "ASSERT") and not code.named("translation"):
        work.use(code)
        return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "ASSERTION"}]}
    return coded(work, code)


def _value(work: Conversion, made: Made, node: Node) -> None:
    values = [value for value in node.named("value") if not value.attributes.get("nullFlavor") or value.children]
    found = value_of(work, node) if values or (node.child("text") is not None and _speaks(node)) else None
    if found is not None and node.get("negationInd") == "true":
        made.add("note", {"text": "negated: the statement is denied"}, node.path, node.line)
        work.problem("warning", "not-supported", "the statement is negated: kept as a note only", node)
        for value in values:
            work.keep(value, "negated: kept in the section's text")
        made.put("dataAbsentReason", {"coding": [{"system": _ABSENT, "code": "not-applicable"}]})
        return
    if found is not None:
        made.put(found[0], found[1], f"{node.path}/value", node.line)
        for more in values[1:]:
            work.problem("information", "multiple-values", "a second value: kept in the section's text", more)
        return
    if node.name == "observation":
        flavor = next((value.get("nullFlavor") for value in node.named("value")), "")
        reason = _WHY.get(flavor, "unknown")
        made.put("dataAbsentReason", {"coding": [{"system": _ABSENT, "code": reason}]}, f"{node.path}/value", node.line)


def _speaks(node: Node) -> bool:
    """The statement has words of its own, not only a pointer into the section's text."""
    return any(child.words() for child in node.named("text"))


def _range(work: Conversion, node: Node) -> Resource | None:
    result: Resource = {}
    value = node.child("value")
    if value is not None:
        work.use(value)
        for name in ("low", "high"):
            end = value.child(name)
            found = quantity(end.get("value"), end.get("unit")) if end is not None else None
            if end is not None and found is not None:
                work.use(end)
                result[name] = found
    words = node.child("text")
    text = work.prose(words) if words is not None else ""
    if not text and value is not None and not result:
        text = value.words()
    if text:
        result["text"] = text
    kind = node.child("interpretationCode")
    concept = work.concept(kind)
    if concept is not None and result:
        result["appliesTo"] = [concept]
    return result or None


def _specimen(work: Conversion, node: Node) -> Resource | None:
    role = node.child("specimenRole")
    entity = role.child("specimenPlayingEntity") if role is not None else None
    concept = work.concept(entity.child("code")) if entity is not None else None
    if role is None or concept is None:
        return None
    work.use(node, role, entity)
    made = work.made("Specimen", role)
    for one in role.named("id"):
        made.add("identifier", work.identifier(one), one.path, one.line)
    made.put("type", concept, role.path, role.line)
    made.put("subject", work.patient)
    return made.reference()


def _noted(work: Conversion, node: Node) -> Resource | None:
    concept = work.concept(node)
    if concept is None:
        return None
    work.keep(node, "kept as a note")
    return {"text": str(concept.get("text", ""))}
