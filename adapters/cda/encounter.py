"""The visit a document speaks of -> Encounter: numbers, class, period, place, people, diagnoses.

The Encounter is the document's own: front page, discharge record and prescription of one stay each have one, with the
same number. Were it one for all, the document that comes last would take away what the others said of the visit, and
an old document sent again would turn it back.
"""

from adapters.cda.conversion import Conversion, before
from adapters.cda.participants import Level, chain, level_organization, practitioner, role
from adapters.cda.record import Node
from adapters.cda.section import rule_of
from adapters.cda.values import quantity
from adapters.contract import Resource
from adapters.kit.codes import UCUM
from adapters.kit.resource import Made

_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_PLACE = "http://terminology.hl7.org/CodeSystem/location-physical-type"
_ROLE = "http://terminology.hl7.org/CodeSystem/diagnosis-role"
_INPATIENT, _OUTPATIENT = "2.16.156.10011.1.12", "2.16.156.10011.1.11"
_DIAGNOSIS_USE = {"admission": ("AD", "Admission diagnosis"), "discharge": ("DD", "Discharge diagnosis")}
_CLASS_NAMES = {"IMP": "inpatient encounter", "AMB": "ambulatory", "EMER": "emergency"}


def encounter(work: Conversion, root: Node) -> Made | None:
    """The Encounter; None when the document has neither a visit number nor anything about a visit."""
    visit = root.find("componentOf/encompassingEncounter")
    numbers = _numbers(work, root, visit)
    levels = _levels(work, visit)
    start, end = _times(work, root, visit)
    if not numbers and not levels and not start and not end:
        if visit is not None:
            work.use(root.child("componentOf"), visit)
        return None
    made = Made(work.mapped, "Encounter", f"{work.key}|Encounter", "owned")
    work.encounter = made
    for value, node in numbers:
        made.add("identifier", value, node.path, node.line)
    made.put("status", "finished" if work.type.ended or end else "unknown")
    kind = _class(work, numbers, visit)
    made.put("class", {"system": _ACT, "code": kind, "display": _CLASS_NAMES.get(kind, kind)})
    made.put("subject", work.patient)
    _route(work, made, root, visit)
    _period(work, made, root, start, end)
    _places(work, made, root, levels)
    _people(work, made, root)
    return made


def finish(work: Conversion) -> None:
    """What the sections told about the visit: hospitalisation, diagnoses in the order of the document."""
    made = work.encounter
    if made is None:
        return
    made.put("hospitalization", work.hospitalization, "DE06.00.223.00")
    ranks: dict[str, int] = {}
    for role_, condition in work.diagnoses:
        ranks[role_] = ranks.get(role_, 0) + 1
        value: Resource = {"condition": condition.reference()}
        if role_ in _DIAGNOSIS_USE:
            code, display = _DIAGNOSIS_USE[role_]
            value["use"] = {"coding": [{"system": _ROLE, "code": code, "display": display}]}
        value["rank"] = ranks[role_]
        made.add("diagnosis", value, "section")


def length(work: Conversion, node: Node) -> bool:
    """实际住院天数 (DE06.00.310.00) -> Encounter.length; False when there is no visit or no number of days."""
    value = node.child("value")
    if work.encounter is None or value is None or "length" in work.encounter.resource:
        return False
    days = quantity(value.get("value"), value.get("unit") or "天")
    if days is None or days.get("system") != UCUM:
        return False
    work.use(node, node.child("code"), value)
    work.encounter.put("length", days, "DE06.00.310.00", node.line)
    return True


# ------------------------------------------------------------------------------------------------- parts
def _numbers(work: Conversion, root: Node, visit: Node | None) -> list[tuple[Resource, Node]]:
    nodes = [
        *(node for node in root.all("recordTarget/patientRole/id") if node.get("root") in (_INPATIENT, _OUTPATIENT)),
        *(visit.named("id") if visit is not None else []),
    ]
    found = [(value, node) for node in nodes if (value := work.identifier(node))]
    if work.type.encounter_class == "AMB":
        found.sort(key=lambda item: item[1].get("root") != _OUTPATIENT)
    else:
        found.sort(key=lambda item: item[1].get("root") != _INPATIENT)
    return found


def _class(work: Conversion, numbers: list[tuple[Resource, Node]], visit: Node | None) -> str:
    if work.type.encounter_class:
        return work.type.encounter_class
    code = visit.child("code") if visit is not None and work.consolidated else None
    for one in [code, *code.named("translation")] if code is not None else []:
        if one.get("code") in _CLASS_NAMES:
            return one.get("code")
    roots = {node.get("root") for _, node in numbers}
    return "IMP" if _INPATIENT in roots else "AMB"


def _times(work: Conversion, root: Node, visit: Node | None) -> tuple[str, str]:
    """(start, end): the data elements of the body, else encompassingEncounter's effectiveTime."""
    said = {"encounter-start": "", "encounter-end": ""}
    for node in root.walk():
        rule = rule_of(node) if node.name == "observation" else ""
        if rule in said and not said[rule]:
            said[rule] = work.date_time(node.child("value"))
    at = visit.child("effectiveTime") if visit is not None else None
    low = high = ""
    if at is not None:
        work.use(root.child("componentOf"), visit, at)
        low = work.date_time(at.child("low")) or work.date_time(at)
        high = work.date_time(at.child("high"))
    for rule, header in (("encounter-start", low), ("encounter-end", high)):
        if said[rule] and header and (before(said[rule], header) or before(header, said[rule])) and at is not None:
            text = f"the visit's time is {header} in the header, {said[rule]} in the body: the body is taken"
            work.problem("warning", "value", text, at)
    return said["encounter-start"] or low, said["encounter-end"] or high


def _period(work: Conversion, made: Made, root: Node, start: str, end: str) -> None:
    if start and end and before(end, start):
        node = next((n for n in root.walk() if rule_of(n) == "encounter-end"), None) or root.find("componentOf") or root
        text = f"the visit ends ({end}) before it begins ({start}): the period is left out, both times are kept as text"
        work.problem("warning", "value", text, node)
        return
    value = {name: at for name, at in (("start", start), ("end", end)) if at}
    made.put("period", value, "DE06.00.092.00/DE06.00.017.00", root.line)


def _route(work: Conversion, made: Made, root: Node, visit: Node | None) -> None:
    """入院途径 of an inpatient is hospitalization.admitSource; of others, and 患者类别, a type of the encounter."""
    code = visit.child("code") if visit is not None else None
    route = work.concept(code)
    if route and code is not None:
        if made.resource["class"]["code"] == "IMP":
            work.hospitalization["admitSource"] = route
        else:
            made.add("type", route, code.path, code.line)
    for node in root.all("recordTarget/patientRole/patientType"):
        work.use(node)
        for kind in node.children:
            made.add("type", work.concept(kind), kind.path, kind.line)


def _levels(work: Conversion, visit: Node | None) -> list[Level]:
    facility = visit.find("location/healthCareFacility") if visit is not None else None
    if facility is None or visit is None:
        return []
    provider = facility.child("serviceProviderOrganization")
    work.use(visit, visit.child("location"), facility)
    return chain(work, provider)


def _places(work: Conversion, made: Made, root: Node, levels: list[Level]) -> None:
    """bed, room and ward -> location; department -> serviceType; hospital -> serviceProvider."""
    provided = root.find("recordTarget/patientRole/providerOrganization")
    by_header = chain(work, provided)
    for level in levels:
        if not level.physical:
            continue
        place: Resource = {
            **({"identifier": {"system": f"urn:oid:{level.root}", "value": level.code}} if level.code else {}),
            "display": level.name or level.code,
        }
        value = {"location": place, "physicalType": {"coding": [{"system": _PLACE, "code": level.physical}]}}
        made.add("location", value, level.node.path, level.node.line)
    every = [*levels, *by_header]
    department = next((level for level in every if level.level == "department"), None)
    if department is not None:
        system = work.local_system(department.root)
        coding = [{"system": system, "code": department.code}] if department.code else []
        kind: Resource = {**({"coding": coding} if coding else {}), "text": department.name or department.code}
        made.put("serviceType", kind, department.node.path, department.node.line)
    hospital = next((level for level in every if level.level == "institution"), None)
    if hospital is not None:
        made.put("serviceProvider", level_organization(work, hospital), hospital.node.path, hospital.node.line)
    elif work.custodian is not None:
        made.put("serviceProvider", work.custodian)


def _people(work: Conversion, made: Made, root: Node) -> None:
    """Who signed has a role in the visit: 主任医师, 主治医师, 责任护士."""
    for node in root.named("legalAuthenticator", "authenticator"):
        entity = node.child("assignedEntity")
        if entity is None:
            continue
        who, what = practitioner(work, entity), role(work, entity)
        if who is not None:
            value: Resource = {**({"type": [{"text": what}]} if what else {}), "individual": who}
            made.add("participant", value, node.path, node.line)
