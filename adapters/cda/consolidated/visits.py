"""Past visits -> Encounter; the family's diseases -> FamilyMemberHistory; who pays -> Coverage."""

from adapters.cda.consolidated.conditions import age, read
from adapters.cda.consolidated.fields import Row, coded, fill, low_of, who, word
from adapters.cda.consolidated.procedures import location
from adapters.cda.consolidated.templates import part
from adapters.cda.contacts import person_name
from adapters.cda.conversion import Conversion
from adapters.cda.participants import organization
from adapters.cda.record import Node
from adapters.cda.section import Section
from adapters.contract import Resource
from adapters.kit.resource import Made

_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_ENCOUNTER = (
    Row("id", "identifier", "identifiers"),
    Row("effectiveTime", "period", "period"),
)
_FAMILY = (Row("id", "identifier", "identifiers"), Row("effectiveTime", "date", "start"))


def encounter(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made:
    """Encounter of an encounter activity: class from the code or its translations (v3 ActCode), else ambulatory."""
    made = work.made("Encounter", node)
    fill(work, made, node, _ENCOUNTER)
    made.put("status", "finished", node.path, node.line)
    code = node.child("code")
    candidates = [code, *code.named("translation")] if code is not None else []
    kind = next((one.get("code") for one in candidates if word("class", one.get("code"))), "AMB")
    made.put("class", {"system": _ACT, "code": kind, "display": word("class", kind)}, node.path, node.line)
    made.add("type", work.concept(code), node.path, node.line)
    made.put("subject", work.patient)
    for child in node.named("performer", "author", "informant"):
        function = child.child("functionCode") or child.find("assignedEntity/code")
        person, place = who(work, child)
        if person is not None:
            role = work.concept(function)
            value: Resource = {**({"type": [role]} if role else {}), "individual": person}
            made.add("participant", value, child.path, child.line)
        if place is not None and "serviceProvider" not in made.resource:
            made.put("serviceProvider", place, child.path, child.line)
    for child in node.named("participant"):
        role_ = child.child("participantRole")
        place = location(work, role_) if role_ is not None and child.get("typeCode") == "LOC" else None
        if place is not None:
            work.use(child)
            made.add("location", {"location": place}, child.path, child.line)
    left = work.concept(node.child("dischargeDispositionCode"))
    if left is not None:
        made.put("hospitalization", {"dischargeDisposition": left}, node.path, node.line)
    return made


def family(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made:
    """A family history organizer -> FamilyMemberHistory with a condition for each observation."""
    made = work.made("FamilyMemberHistory", node)
    fill(work, made, node, _FAMILY)
    made.put("status", "completed", node.path, node.line)
    made.put("patient", work.patient)
    relative = node.find("subject/relatedSubject")
    person = relative.child("subject") if relative is not None else None
    work.use(node.child("subject"), relative, person, node.child("statusCode"))
    relation = relative.child("code") if relative is not None else None
    made.put("relationship", coded(work, relation), (relation or node).path, node.line)
    if person is not None:
        name = next((found for one in person.named("name") if (found := person_name(work, one))), None)
        made.put("name", str(name["text"]) if name else "", person.path, person.line)
        made.put("sex", work.concept(person.child("administrativeGenderCode")), person.path, person.line)
        birth = person.child("birthTime")
        made.put("bornDate", work.date_time(birth).partition("T")[0], person.path, person.line)
        _death(work, made, person)
    for detail in node.all("component/observation"):
        made.add("condition", _disease(work, made, detail), detail.path, detail.line)
    return made


def _death(work: Conversion, made: Made, person: Node) -> None:
    dead, when = person.child("deceasedInd"), person.child("deceasedTime")
    at = work.date_time(when).partition("T")[0]
    if at:
        work.use(dead)
        made.put("deceasedDate", at, person.path, person.line)
    elif dead is not None and dead.get("value") in ("true", "false"):
        work.use(dead)
        made.put("deceasedBoolean", dead.get("value") == "true", dead.path, dead.line)


def _disease(work: Conversion, made: Made, node: Node) -> Resource | None:
    concept = work.concept(read(work, node))
    if concept is None:
        return None
    work.use(node.child("statusCode"))
    for one in node.named("id"):
        made.add("identifier", work.identifier(one), one.path, one.line)
    result: Resource = {"code": concept}
    for detail in node.all("entryRelationship/observation"):
        if part(detail) == "22.4.31":
            value = detail.child("value")
            onset = age(value)
            if onset is not None:
                work.use(read(work, detail))
                result["onsetAge"] = onset
        elif part(detail) == "22.4.47":
            outcome = work.concept(read(work, detail))
            if outcome is not None:
                result["outcome"] = outcome
                result["contributedToDeath"] = True
    onset_at = low_of(work, node.child("effectiveTime"))
    if onset_at and "onsetAge" not in result:
        result["onsetString"] = onset_at
    return result


def coverage(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made | None:
    """Each policy of a coverage act -> Coverage; None (told) when no payer is named."""
    first: Made | None = None
    for policy in node.all("entryRelationship/act"):
        payer = next((one for one in policy.named("performer") if _payer(work, one) is not None), None)
        paying = _payer(work, payer) if payer is not None else None
        if paying is None:
            work.problem("information", "required", "the coverage names no payer: kept as text", policy)
            continue
        made = work.made("Coverage", policy)
        work.use(node, node.child("statusCode"), policy, policy.child("statusCode"))
        for one in [*policy.named("id"), *(node.named("id") if first is None else [])]:
            made.add("identifier", work.identifier(one), one.path, one.line)
        made.put("status", "active", policy.path, policy.line)
        made.put("type", work.concept(policy.child("code")), policy.path, policy.line)
        made.put("beneficiary", work.patient)
        made.add("payor", paying, policy.path, policy.line)
        for child in policy.named("participant"):
            _party(work, made, child)
        first = first or made
    return first


def _payer(work: Conversion, node: Node) -> Resource | None:
    entity = node.child("assignedEntity")
    place = entity.child("representedOrganization") if entity is not None else None
    code = entity.child("code") if entity is not None else None
    if entity is None or (code is not None and code.get("code") == "GUAR"):
        return None
    if place is None:
        return None
    work.use(node, entity, code)
    return organization(work, place)


def _party(work: Conversion, made: Made, node: Node) -> None:
    """COV: the covered person (member number, relationship, time); HLD: the holder's number."""
    role = node.child("participantRole")
    if role is None:
        return
    work.use(node, role)
    number = next((found for one in role.named("id") if (found := work.identifier(one))), None)
    if node.get("typeCode") == "COV":
        made.put("subscriberId", number["value"] if number else "", role.path, role.line)
        made.put("relationship", work.concept(role.child("code")), role.path, role.line)
        at = node.child("time")
        made.put("period", work.period(at), node.path, node.line)
    elif number is not None and node.get("typeCode") == "HLD":
        made.put("policyHolder", {"identifier": number}, role.path, role.line)
