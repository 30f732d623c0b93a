"""Operations -> Procedure: notes on incision, level, anaesthesia; healing as outcome; the team as performers."""

from adapters.cda.conversion import Conversion
from adapters.cda.participants import practitioner, role
from adapters.cda.record import Node
from adapters.cda.section import Section, code_of, label_of, rule_of
from adapters.cda.tables import status
from adapters.cda.values import stated, value_of
from adapters.contract import Resource
from adapters.kit.resource import Made

_SURGEON, _ANAESTHETIST = "手术者", "麻醉医师"


def procedure(work: Conversion, section: Section, node: Node) -> Made:
    """The Procedure of a procedure element. Other details below it are left to the caller."""
    code, state, at = node.child("code"), node.child("statusCode"), node.child("effectiveTime")
    work.use(node, state)
    made = work.made("Procedure", node)
    negated = node.get("negationInd") == "true"
    said = status("procedure", state.get("code") if state is not None else "")
    made.put("status", "not-done" if negated else said, node.path, node.line)
    name = ""
    for detail in node.all("entryRelationship/observation"):
        if rule_of(detail) == "procedure-name":
            work.use(detail, detail.child("code"))
            found = value_of(work, detail)
            name = str(found[1]) if found and found[0] == "valueString" else name
    concept = work.concept(code, name) if code is not None else ({"text": name} if name else None)
    made.put("code", concept, f"{node.path}/code", code.line if code is not None else node.line)
    if concept is None:
        work.problem("information", "required", "the operation has neither a code nor a name", node)
    work.about(made)
    period = work.period(at)
    if period:
        made.put("performedPeriod", period, f"{node.path}/effectiveTime", node.line)
    elif at is not None:
        made.put("performedDateTime", work.date_time(at), at.path, at.line)
    for place in node.named("targetSiteCode"):
        made.add("bodySite", work.concept(place), place.path, place.line)
    for number in node.named("id"):
        made.add("identifier", work.identifier(number), number.path, number.line)
    _team(work, made, node, _SURGEON)
    for detail in node.all("entryRelationship/observation"):
        _detail(work, made, detail)
    return made


def _team(work: Conversion, made: Made, node: Node, default: str) -> None:
    for child in node.named("performer", "participant"):
        entity = next(iter(child.named("assignedEntity", "participantRole")), None)
        if entity is None:
            continue
        work.use(child, entity)
        function = role(work, entity) or (default if child.name == "performer" else "")
        who = practitioner(work, entity)
        if who is not None:
            value: Resource = {**({"function": {"text": function}} if function else {}), "actor": who}
            made.add("performer", value, child.path, child.line)


def _detail(work: Conversion, made: Made, node: Node) -> None:
    """A detail that Procedure has a place for; others stay unused for the caller."""
    rule = rule_of(node)
    if rule not in ("procedure-note", "procedure-outcome"):
        return
    field, label = code_of(node), label_of(node)
    value = node.child("value")
    concept = work.concept(value) if value is not None and value.get("code") else None
    if rule == "procedure-outcome" and concept and "outcome" not in made.resource:
        work.use(node, node.child("code"))
        made.put("outcome", concept, field, node.line)
    else:
        text = _sentence(concept, node)
        if text:  # for the reader of the operation; the data element is an Observation as well
            made.add("note", {"text": f"{label}：{text}"}, field, node.line)
    _team(work, made, node, _ANAESTHETIST)


def _sentence(concept: Resource | None, node: Node) -> str:
    if concept:
        code = (concept.get("coding") or [{}])[0].get("code", "")
        text = str(concept["text"])
        return f"{text} ({code})" if code and code != text else text
    value = node.child("value")
    return stated(value.words() or value.get("value") or value.get("displayName")) if value is not None else ""
