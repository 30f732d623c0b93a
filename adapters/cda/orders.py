"""Orders in words (医嘱): of a drug -> MedicationRequest, every other -> ServiceRequest."""

from adapters.cda.conversion import Conversion
from adapters.cda.participants import organization, practitioner, told
from adapters.cda.record import Node
from adapters.cda.section import code_of, rule_of
from adapters.cda.values import value_of
from adapters.kit.resource import Made

_DRUG_ORDER = "01"  # 医嘱项目类型 (2.16.156.10011.2.3.1.268): 药品类医嘱
# Words of 医嘱执行状态, the first that stands in the text decides -> (MedicationRequest.status, ServiceRequest.status).
_STATES = (
    ("未执行", "active", "active"),
    ("执行中", "active", "active"),
    ("作废", "cancelled", "revoked"),
    ("取消", "cancelled", "revoked"),
    ("停", "stopped", "revoked"),
    ("已执行", "completed", "completed"),
    ("完成", "completed", "completed"),
)


def order(work: Conversion, node: Node) -> Made | None:
    """An organizer with 医嘱项目类型 and 医嘱项目内容; None for any other."""
    parts = {rule_of(one): one for one in node.all("component/observation")}
    kind, content = parts.get("order-type"), parts.get("order-content")
    if content is None:
        return None
    found = value_of(work, content)
    if found is None:
        return None
    what = found[1] if found[0] == "valueCodeableConcept" else {"text": str(found[1])}
    type_ = kind.child("value") if kind is not None else None
    drug = type_ is not None and (
        type_.get("code").zfill(2) == _DRUG_ORDER or "药" in type_.get("displayName") + type_.words()
    )
    work.use(node, node.child("statusCode"), content, content.child("code"))
    made = work.made("MedicationRequest" if drug else "ServiceRequest", content)
    made.put("status", _state(work, content, drug=drug), content.path, content.line)
    made.put("intent", "order")
    category = None
    if kind is not None:
        work.use(kind, kind.child("code"))
        category = work.concept(type_) or ({"text": type_.words()} if type_ is not None and type_.words() else None)
        work.use(type_)
        made.add("category", category, code_of(kind), kind.line)
    made.put("medicationCodeableConcept" if drug else "code", what, code_of(content), content.line)
    work.about(made)
    for number in [*node.named("id"), *content.named("id")]:
        made.add("identifier", work.identifier(number), number.path, number.line)
    _span(work, made, content)
    _people(work, made, content)
    return made


def _state(work: Conversion, content: Node, *, drug: bool) -> str:
    for detail in content.all("entryRelationship/observation"):
        if code_of(detail) == "DE06.00.290.00":
            found = value_of(work, detail)
            text = str(found[1].get("text") if isinstance(found[1], dict) else found[1]) if found else ""
            for word, medicine, service in _STATES:
                if word in text:
                    return medicine if drug else service
    return "active"


def _span(work: Conversion, made: Made, content: Node) -> None:
    """When the order is to be carried out: from, to."""
    at = content.child("effectiveTime")
    if at is None:
        return
    period = work.period(at)
    point = work.date_time(at) if not period else ""
    field = f"{code_of(content)}/effectiveTime"
    if made.type == "ServiceRequest":
        made.put("occurrencePeriod", period, field, at.line)
        made.put("occurrenceDateTime", point, field, at.line)
    elif period or point:
        bounds = period or {"start": point}
        made.add("dosageInstruction", {"timing": {"repeat": {"boundsPeriod": bounds}}}, field, at.line)


def _people(work: Conversion, made: Made, content: Node) -> None:
    """author ordered it (and when), performer carries it out, others are told in a note."""
    for person in content.named("author", "performer"):
        entity = next(iter(person.named("assignedAuthor", "assignedEntity")), None)
        who = practitioner(work, entity) if entity is not None else None
        if entity is not None:
            places = [organization(work, place) for place in entity.named("representedOrganization")]
            who = who or next((place for place in places if place), None)
        work.use(person, entity)
        at = person.child("time")
        if person.name == "author":
            if "requester" not in made.resource:
                made.put("requester", who, person.path, person.line)
            if at is not None and "authoredOn" not in made.resource:
                made.put("authoredOn", work.date_time(at), at.path, at.line)
        elif made.type == "ServiceRequest":
            made.add("performer", who, person.path, person.line)
        elif "performer" not in made.resource:
            made.put("performer", who, person.path, person.line)
    if "requester" not in made.resource and work.authors:
        made.put("requester", work.authors[0])
    if "authoredOn" not in made.resource:
        made.put("authoredOn", work.mapped.when)
    for person in content.named("participant"):
        said = told(work, person)
        made.add("note", {"text": said} if said else None, person.path, person.line)
