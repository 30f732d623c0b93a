"""Laboratory and examination reports: an item with its result -> one Observation, the report -> DiagnosticReport."""

from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.cda.section import Section, code_of
from adapters.cda.tables import real
from adapters.cda.values import quantity, value_of
from adapters.contract import Resource
from adapters.kit.resource import Made, id_of

_ITEM, _RESULT, _AMOUNT, _UNIT = "DE04.30.019.00", "DE04.30.017.00", "DE04.30.015.00", "DE04.30.016.00"
_SPECIMEN, _SPECIMEN_STATE = "DE04.50.134.00", "DE04.50.135.00"
_CONCLUSIONS = ("DE04.50.130.00", "DE04.50.132.00")  # 检验报告结果, 检查报告结果-主观提示
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_KINDS = {"laboratory-report": ("LAB", "11502-2"), "imaging-report": ("RAD", "18748-4")}


def item(work: Conversion, section: Section, node: Node) -> Made | None:
    """An organizer of 检验项目, 检验结果 and 检验定量结果 -> one Observation that has the item as its code; None for
    another organizer, and for one whose item or result is not filled in."""
    parts = {code_of(one): one for one in node.all("component/observation")}
    named, result, amount = parts.get(_ITEM), parts.get(_RESULT), parts.get(_AMOUNT)
    what = value_of(work, named) if named is not None else None
    if named is None or what is None or (result is None and amount is None):
        return None
    made = work.made("Observation", node)
    work.observations.add(made.reference()["reference"])
    work.use(node, node.child("statusCode"), named, named.child("code"))
    made.put("status", "final")
    made.put("category", [{"coding": [{"system": _CATEGORY, "code": "laboratory"}]}])
    code = what[1] if what[0] == "valueCodeableConcept" else {"text": str(what[1])}
    made.put("code", code, _ITEM, named.line)
    work.about(made)
    at = named.child("effectiveTime")
    if at is not None:
        period = work.period(at)
        made.put("effectivePeriod", period, f"{_ITEM}/effectiveTime", at.line)
        if not period:
            made.put("effectiveDateTime", work.date_time(at), f"{_ITEM}/effectiveTime", at.line)
    _measured(work, made, amount)
    _judged(work, made, result)
    made.put("specimen", _specimen(work, named), _SPECIMEN, named.line)
    return made


def _measured(work: Conversion, made: Made, amount: Node | None) -> None:
    found = value_of(work, amount) if amount is not None else None
    if amount is None or found is None:
        return
    name, value = found
    work.use(amount, amount.child("code"))
    for detail in amount.all("entryRelationship/observation"):
        unit = value_of(work, detail) if code_of(detail) == _UNIT else None
        if unit is not None and unit[0] == "valueString" and name in ("valueQuantity", "valueInteger"):
            number = value["value"] if isinstance(value, dict) else value
            name, value = "valueQuantity", quantity(str(number), unit[1]) or value
            work.use(detail, detail.child("code"))
    made.put(name, value, _AMOUNT, amount.line)


def _judged(work: Conversion, made: Made, result: Node | None) -> None:
    found = value_of(work, result) if result is not None else None
    if result is None or found is None:
        return
    work.use(result, result.child("code"))
    if any(name.startswith("value") for name in made.resource):
        concept = found[1] if found[0] == "valueCodeableConcept" else {"text": str(found[1])}
        made.add("interpretation", concept, _RESULT, result.line)
    else:
        made.put(found[0], found[1], _RESULT, result.line)


def _specimen(work: Conversion, named: Node) -> Resource | None:
    """Specimen of 标本类别 and 标本状态 below the item."""
    parts = {code_of(one): one for one in named.all("entryRelationship/observation")}
    node, state = parts.get(_SPECIMEN), parts.get(_SPECIMEN_STATE)
    kind = value_of(work, node) if node is not None else None
    if node is None or kind is None:
        return None
    made = work.made("Specimen", node)
    work.use(node, node.child("code"))
    concept = kind[1] if kind[0] == "valueCodeableConcept" else {"text": str(kind[1])}
    made.put("type", concept, _SPECIMEN, node.line)
    made.put("subject", work.patient)
    at = node.child("effectiveTime")
    if at is not None:
        made.put("collection", {"collectedDateTime": when} if (when := work.date_time(at)) else None, at.path, at.line)
    said = value_of(work, state) if state is not None else None
    if state is not None and said is not None:
        work.use(state, state.child("code"))
        condition = said[1] if said[0] == "valueCodeableConcept" else {"text": str(said[1])}
        made.add("condition", condition, _SPECIMEN_STATE, state.line)
    return made.reference()


def finish(work: Conversion, root: Node, title: str) -> Made | None:
    """The DiagnosticReport of a report document, with every finding of it and its conclusion."""
    kind = _KINDS.get(work.type.rules)
    if kind is None:
        return None
    made = work.made("DiagnosticReport", root)
    for number in root.all("recordTarget/patientRole/id"):
        if number.get("root") in ("2.16.156.10011.1.32", "2.16.156.10011.1.33"):
            made.add("identifier", work.identifier(number), number.path, number.line)
    made.put("status", "final")
    made.add("category", {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": kind[0]}]})
    made.put("code", {"coding": [{"system": "http://loinc.org", "code": kind[1]}], "text": real(title)}, "code")
    work.about(made)
    made.put("effectiveDateTime", work.mapped.when, "effectiveTime", root.line)
    if "T" in work.mapped.when:
        made.put("issued", work.mapped.when, "effectiveTime", root.line)
    for who in work.authors:
        if who.get("type") != "Device":
            made.add("performer", who, "author", root.line)
    for item_ in list(work.mapped.items):
        if f"urn:uuid:{id_of(item_.key)}" in work.observations:
            made.add("result", {"reference": f"urn:uuid:{id_of(item_.key)}"})
        elif item_.resource["resourceType"] == "Specimen":
            made.add("specimen", {"reference": f"urn:uuid:{id_of(item_.key)}"})
    for node in root.walk():
        if node.name == "observation" and code_of(node) in _CONCLUSIONS:
            found = value_of(work, node)
            if found is not None and "conclusion" not in made.resource:
                text = found[1].get("text", "") if isinstance(found[1], dict) else str(found[1])
                made.put("conclusion", text, code_of(node), node.line)
    return made
