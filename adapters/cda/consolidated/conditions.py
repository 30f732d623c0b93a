"""Problems, diagnoses, indications -> Condition; allergies -> AllergyIntolerance with its reactions."""

from collections.abc import Iterator

from adapters.cda.consolidated.fields import Row, authored, coded, fill, low_of, word
from adapters.cda.consolidated.templates import part
from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.cda.section import Section
from adapters.cda.values import quantity
from adapters.contract import Resource
from adapters.kit.resource import Made

_BASE = "http://terminology.hl7.org/CodeSystem/"
_CATEGORIES = {"11450-4": "problem-list-item", "75310-3": "health-concern"}
_HEALTH_CONCERN = "http://hl7.org/fhir/us/core/CodeSystem/condition-category"
_STATUS, _SEVERITY, _AGE = "22.4.6", "22.4.8", "22.4.31"
_PROBLEM = (
    Row("id", "identifier", "identifiers"),
    Row("text", "note", "note"),
    Row("targetSiteCode", "bodySite", "concepts"),
)
_ALLERGY = (Row("id", "identifier", "identifiers"), Row("text", "note", "note"))


def inner(node: Node) -> Iterator[tuple[str, Node]]:
    """(template, statement) of the statements one link below."""
    for link in node.named("entryRelationship", "component"):
        for child in link.children:
            if child.name in ("observation", "act", "organizer"):
                yield part(child, link.get("typeCode")), child


def read(work: Conversion, node: Node) -> Node | None:
    """The value of a statement that lands in an element of its parent."""
    work.use(node)
    return node.child("value")


def problem(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made | None:
    """The Condition of a problem observation; None when it names no problem. `above` is the concern act."""
    concept = work.concept(node.child("value"))
    if concept is None:
        work.problem("information", "required", "the problem names no condition: kept as text", node)
        return None
    made = work.made("Condition", node)
    fill(work, made, node, _PROBLEM)
    refuted = node.get("negationInd") == "true"
    ended = _times(work, made, node)
    made.put("clinicalStatus", _clinical(work, "condition-clinical", node, above, ended=ended))
    if refuted:
        made.put("verificationStatus", _coding("condition-ver-status", "refuted"))
    made.add("category", _category(section, node, part_of))
    made.add("category", work.concept(node.child("code")), node.path, node.line)
    made.put("code", concept, f"{node.path}/value", node.line)
    for kind, detail in inner(node):
        if kind == _SEVERITY and "severity" not in made.resource:
            made.put("severity", work.concept(read(work, detail)), detail.path, detail.line)
        elif kind == _AGE and "onsetDateTime" not in made.resource and "onsetAge" not in made.resource:
            made.put("onsetAge", age(read(work, detail)), detail.path, detail.line)
            if "onsetAge" in made.resource:
                work.use(detail.child("value"))
    work.about(made)
    authored(work, made, node, "recorder", "recordedDate")
    if above is not None:
        _concern(work, made, above)
    return made


def allergy(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made | None:
    """The AllergyIntolerance of an allergy observation; refuted when it is negated (no known allergy)."""
    made = work.made("AllergyIntolerance", node)
    fill(work, made, node, _ALLERGY)
    refuted = node.get("negationInd") == "true"
    ended = _times(work, made, node)
    made.put("clinicalStatus", _clinical(work, "allergyintolerance-clinical", node, above, ended=ended))
    made.put("verificationStatus", _coding("allergyintolerance-verification", "refuted" if refuted else "confirmed"))
    value = node.child("value")
    type_, category = f"{word('allergy-type', value.get('code') if value is not None else '')} ".split(" ")[:2]
    if type_:
        made.put("type", type_, f"{node.path}/value", node.line)
        made.add("category", category, f"{node.path}/value", node.line)
    substance = node.find("participant/participantRole/playingEntity")
    if substance is not None:
        work.use(node.child("participant"), node.find("participant/participantRole"), substance)
    agent = substance.child("code") if substance is not None else None
    name = work.text(substance.child("name")) if substance is not None else ""
    concept = work.concept(agent, name if agent is not None and not agent.get("displayName") else "")
    if concept is not None and value is not None and type_:
        work.use(value)
    if concept is None:
        concept = work.concept(value) if not name else {"text": name}
    made.put("code", concept or coded(work, agent), f"{node.path}/participant", node.line)
    made.put("patient", work.patient)
    if work.encounter is not None:
        made.put("encounter", work.encounter.reference())
    for kind, detail in inner(node):
        _allergy_detail(work, made, kind, detail)
    authored(work, made, node, "recorder", "recordedDate")
    if above is not None:
        _concern(work, made, above)
    return made


def age(value: Node | None) -> Resource | None:
    """Age (a Quantity in UCUM) of a PQ; without a unit, years."""
    if value is None:
        return None
    found = quantity(value.get("value"), value.get("unit") or "a")
    return found if found is not None and found.get("code") else None


# ------------------------------------------------------------------------------------------------------- parts
def _allergy_detail(work: Conversion, made: Made, kind: str, node: Node) -> None:
    if kind == "22.4.9":
        made.add("reaction", _reaction(work, node), node.path, node.line)
    elif kind == "22.4.145" and "criticality" not in made.resource:
        value = node.child("value")
        found = word("criticality", value.get("code")) if value is not None else ""
        if found:
            work.use(read(work, node))
            made.put("criticality", found, node.path, node.line)


def _reaction(work: Conversion, node: Node) -> Resource | None:
    value = read(work, node)
    manifestation = work.concept(value)
    if manifestation is None:
        return None
    onset = low_of(work, node.child("effectiveTime"))
    if onset:
        work.use(node.child("effectiveTime"))
    result: Resource = {"manifestation": [manifestation]}
    if onset:
        result["onset"] = onset
    for kind, detail in inner(node):
        if kind == _SEVERITY and "severity" not in result:
            graded = detail.child("value")
            found = word("severity", graded.get("code")) if graded is not None else ""
            if found:
                work.use(read(work, detail))
                result["severity"] = found
    return result


def _times(work: Conversion, made: Made, node: Node) -> bool:
    """onset and, for a Condition, abatement; whether it is over."""
    at = node.child("effectiveTime")
    if at is None:
        return False
    made.put("onsetDateTime", low_of(work, at), at.path, at.line)
    high = at.child("high")
    end = work.date_time(high) if high is not None and made.type == "Condition" else ""
    made.put("abatementDateTime", end, at.path, at.line)
    return bool(end) or (high is not None and bool(high.get("value") or high.get("nullFlavor") == "UNK"))


def _clinical(work: Conversion, system: str, node: Node, above: Node | None, *, ended: bool) -> Resource:
    """By the status observation, else the end, else the concern's own status."""
    for kind, detail in inner(node):
        if kind in (_STATUS, "22.4.28"):
            value = detail.child("value")
            found = word("clinical", value.get("code")) if value is not None else ""
            if found and not (ended and found == "active"):
                work.use(read(work, detail))
                return _coding(system, found)
    state = above.child("statusCode") if above is not None else None
    found = word("clinical", state.get("code").lower()) if state is not None else ""
    if ended:
        found = "resolved"
    elif found == "resolved":
        found = "inactive"  # the concern is closed, which does not say that the problem is gone
    return _coding(system, found or "active")


def _coding(system: str, code: str) -> Resource:
    return {"coding": [{"system": f"{_BASE}{system}", "code": code}]}


def _category(section: Section, node: Node, part_of: Made | None) -> Resource:
    code = "encounter-diagnosis" if part_of is not None else _CATEGORIES.get(section.code, "encounter-diagnosis")
    system = _HEALTH_CONCERN if code == "health-concern" else f"{_BASE}condition-category"
    return {"coding": [{"system": system, "code": code}]}


def _concern(work: Conversion, made: Made, act: Node) -> None:
    """The concern's own number, and who recorded it when the problem itself does not say."""
    work.use(act, act.child("statusCode"))
    for number in act.named("id"):
        made.add("identifier", work.identifier(number), number.path, number.line)
    authored(work, made, act, "recorder", "recordedDate")
    at = act.child("effectiveTime")
    if "recordedDate" not in made.resource and at is not None:
        made.put("recordedDate", low_of(work, at), at.path, at.line)
