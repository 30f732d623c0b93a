"""A coded statement -> Observation: every data element has one, also those that no table knows."""

from adapters.cda.conversion import Conversion, system_of
from adapters.cda.participants import organization, practitioner, told
from adapters.cda.record import Node
from adapters.cda.section import Section, code_of, label_of
from adapters.cda.tables import element, real, status
from adapters.cda.values import quantity, value_of
from adapters.contract import Resource
from adapters.kit import codes
from adapters.kit.resource import Made

_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_UNIT = "DE04.30.016.00"  # 计量单位 beside a number that has none of its own


def observation(work: Conversion, section: Section, node: Node, part_of: Resource | None = None) -> Made | None:
    """The Observation of an observation (or organizer, playingEntity) element; None when it says nothing.

    `part_of` is the procedure or medication whose detail this is. Data elements without a row in elements.csv get an
    `information` problem: kept, but no rule knows what they mean.
    """
    code = node.child("code")
    work.use(node, code)
    if node.get("negationInd") == "true":
        work.problem("warning", "not-supported", f"{label_of(node)} is negated: kept as text only", node)
        return None
    value = value_of(work, node)
    note = ""
    flag = node.find("precondition/criterion")
    if flag is not None and flag.child("value") is not None:
        # An adverse-reaction flag stands in a precondition, its description in text.
        work.use(node.child("precondition"), flag)
        flagged = value_of(work, flag)
        if flagged is not None:
            note = str(value[1]) if value else ""
            value = flagged
    effective = _effective(work, node)
    if value is None and "effectiveDateTime" in effective and "日期" in label_of(node):
        value = ("valueDateTime", effective.pop("effectiveDateTime"))
    grouping = node.name == "organizer" and bool(label_of(node))
    if value is None and not grouping:
        return None
    made = work.made("Observation", node)
    work.observations.add(made.reference()["reference"])
    field = code_of(node) or node.path
    made.put("status", status("observation", _status_code(work, node)))
    if section.category:
        made.put("category", [{"coding": [{"system": _CATEGORY, "code": section.category}]}])
    made.put("code", _code(work, section, node), field, node.line)
    work.about(made)
    for name, content in effective.items():
        made.put(name, content, f"{field}/effectiveTime", node.line)
    if value is not None:
        made.put(value[0], _with_unit(work, node, value[1]), field, node.line)
    if note:
        made.put("note", [{"text": note}], field, node.line)
    if part_of is not None:
        made.put("partOf", [part_of])
    _details(work, made, node)
    return made


def _code(work: Conversion, section: Section, node: Node) -> Resource:
    code = node.child("code")
    label = label_of(node)
    value = code_of(node)
    coding: list[Resource] = []
    row = element(value)
    if row and row.loinc:
        coding.append({"system": codes.LOINC, "code": row.loinc})
    if code is not None and real(value):
        display = real(code.get("displayName")).replace("\n", "")
        system = system_of(code)
        coding.append(
            {
                **({"system": system} if system else {}),
                "code": value,
                **({"display": display or label} if (display or label) != value else {}),
            }
        )
        if value != code.get("code"):
            work.problem("information", "code-invalid", f"{code.get('code')} is read as {value}", code)
        if row is None:
            work.problem("information", "unmapped", f"no rule for {value} {label}: kept as an Observation", node)
    qualifier = code.find("qualifier/name") if code is not None else None
    if qualifier is not None and code is not None:
        work.use(code.child("qualifier"), qualifier)
    special = real(qualifier.get("displayName")) if qualifier is not None else ""
    text = special or label or section.title
    return {**({"coding": coding} if coding else {}), "text": text}


def _effective(work: Conversion, node: Node) -> Resource:
    at = node.child("effectiveTime")
    if at is None:
        return {}
    period = work.period(at)
    if period:
        return {"effectivePeriod": period}
    when = work.date_time(at)
    return {"effectiveDateTime": when} if when else {}


def _status_code(work: Conversion, node: Node) -> str:
    code = node.child("statusCode")
    work.use(code)
    return code.get("code") if code is not None else ""


def _with_unit(work: Conversion, node: Node, value: object) -> object:
    """A number takes the unit that stands beside it as a data element of its own."""
    if not isinstance(value, dict) or "value" not in value or "unit" in value:
        return value
    for child in node.all("entryRelationship/observation"):
        if code_of(child) == _UNIT:
            found = value_of(work, child)
            if found is not None and found[0] == "valueString":
                work.use(child, child.child("code"))
                return quantity(str(value["value"]), found[1]) or value
    return value


def _details(work: Conversion, made: Made, node: Node) -> None:
    for name, target in (("methodCode", "method"), ("targetSiteCode", "bodySite")):
        child = node.child(name)
        if child is not None:
            made.put(target, work.concept(child), child.path, child.line)
    for child in node.named("interpretationCode"):
        made.add("interpretation", work.concept(child), child.path, child.line)
    for child in node.named("performer", "author"):
        entity = next(iter(child.named("assignedEntity", "assignedAuthor")), None)
        if entity is None:
            continue
        work.use(child, entity)
        who = practitioner(work, entity)
        if who is not None:
            work.use(entity.child("code"))
        made.add("performer", who, child.path, child.line)
        for place in entity.named("representedOrganization"):
            made.add("performer", organization(work, place), place.path, place.line)
    for child in node.named("participant"):
        if child.find("participantRole/playingEntity/name") is not None:
            said = told(work, child)
            made.add("note", {"text": said} if said else None, child.path, child.line)
