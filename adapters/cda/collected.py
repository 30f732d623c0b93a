"""Statements that together make one resource of their document (a consultation, a transfer, guidance, the next
follow-up): which statement goes where is the table collected.csv."""

import re
from functools import cache
from typing import NamedTuple

from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.cda.section import code_of, label_of
from adapters.cda.values import Value, value_of
from adapters.contract import Resource
from adapters.kit import codes
from adapters.kit.codes import SNOMED
from adapters.kit.resource import Made


class _Place(NamedTuple):
    rules: str
    resource: str
    element: str
    kind: str


_STARTS: dict[tuple[str, str], Resource] = {
    ("consultation", "ServiceRequest"): {
        "status": "completed",
        "intent": "order",
        "category": [{"coding": [{"system": SNOMED, "code": "11429006", "display": "Consultation"}], "text": "会诊"}],
    },
    ("consultation", "ClinicalImpression"): {"status": "completed"},
    ("transfer", "ServiceRequest"): {"status": "completed", "intent": "order", "category": [{"text": "转科"}]},
    ("guidance", "CarePlan"): {"status": "active", "intent": "plan", "title": "出院指导"},
    ("follow-up", "CarePlan"): {"status": "active", "intent": "plan", "title": "随访计划"},
}
_CODES = {"consultation": "会诊", "transfer": "转科"}


@cache
def _places() -> dict[str, dict[str, _Place]]:
    """document rules -> match -> place."""
    found: dict[str, dict[str, _Place]] = {}
    for match, row in codes.table("adapters.cda", "collected.csv").items():
        found.setdefault(row[0], {})[match] = _Place(*row)
    return found


def collect(work: Conversion, node: Node) -> list[Resource] | None:
    """The reference to the resource that takes this statement; None when the table has no place for it."""
    rows = _places().get(work.type.rules)
    if not rows or node.name != "observation":
        return None
    label = re.sub(r"\s+", "", label_of(node))
    place = next((row for match, row in rows.items() if not match.startswith("DE") and match in label), None)
    place = place or rows.get(code_of(node))
    if place is None:
        return None
    found = value_of(work, node) or (_dated(work, node) if place.kind == "appointment" else None)
    if found is None:
        return None
    made = _resource(work, node, place)
    if place.kind in ("concept", "text") and place.element in made.resource:
        return None  # said a second time: an Observation of its own
    work.use(node, node.child("code"))
    _KINDS[place.kind](work, made, place.element, node, found)
    return [made.reference()]


def _dated(work: Conversion, node: Node) -> Value | None:
    """A date that stands in effectiveTime, as the 2011 edition writes it."""
    at = node.child("effectiveTime")
    when = work.date_time(at) if at is not None and at.get("value") else ""
    return ("valueDateTime", when) if when else None


def finish(work: Conversion) -> None:
    """What the resources need besides what was collected."""
    rules = work.type.rules
    for type_ in ("ServiceRequest", "ClinicalImpression"):
        made = work.shared.get(f"collected|{type_}")
        if made is None:
            continue
        if type_ == "ServiceRequest" and "code" not in made.resource:
            made.put("code", {"text": _CODES[rules]})
        for _, condition in work.diagnoses:
            if type_ == "ServiceRequest":
                made.add("reasonReference", condition.reference())
            else:
                made.add("finding", {"itemReference": condition.reference()})


def _resource(work: Conversion, node: Node, place: _Place) -> Made:
    key = f"collected|{place.resource}"
    made = work.shared.get(key)
    if made is None:
        made = work.shared[key] = work.made(place.resource, node)
        for name, value in _STARTS[place.rules, place.resource].items():
            made.put(name, value)
        work.about(made)
        if place.resource == "ServiceRequest":
            made.put("authoredOn", work.mapped.when)
            made.put("requester", work.authors[0] if work.authors else work.custodian)
        elif place.resource == "ClinicalImpression":
            made.put("date", work.mapped.when)
            person = next((one for one in work.authors if one.get("type") != "Device"), None)
            made.put("assessor", person if person is not None and work.author_is_person else None)
        else:
            made.put("created", work.mapped.when)
            made.put("author", work.authors[0] if work.authors else None)
    return made


# ----------------------------------------------------------------------------------------------------- kinds
def _words(found: Value) -> str:
    value = found[1]
    if isinstance(value, dict):
        return str(value.get("text") or " ".join(str(value[part]) for part in ("value", "unit") if part in value))
    return str(value)


def _as_concept(found: Value) -> Resource:
    return found[1] if found[0] == "valueCodeableConcept" else {"text": _words(found)}


def _concept(work: Conversion, made: Made, element: str, node: Node, found: Value) -> None:
    made.put(element, _as_concept(found), code_of(node), node.line)


def _concepts(work: Conversion, made: Made, element: str, node: Node, found: Value) -> None:
    made.add(element, _as_concept(found), code_of(node), node.line)


def _text(work: Conversion, made: Made, element: str, node: Node, found: Value) -> None:
    made.put(element, _words(found), code_of(node), node.line)


def _guidance(work: Conversion, made: Made, element: str, node: Node, found: Value) -> None:
    detail = {"code": {"text": label_of(node)}, "status": "not-started", "description": _words(found)}
    made.add(element, {"detail": detail}, code_of(node), node.line)


def _appointment(work: Conversion, made: Made, element: str, node: Node, found: Value) -> None:
    detail: Resource = {"code": {"text": label_of(node)}, "status": "scheduled"}
    if found[0] == "valueDateTime":
        detail["scheduledPeriod"] = {"start": found[1]}
    elif found[0] == "valuePeriod":
        detail["scheduledPeriod"] = found[1]
    else:
        detail["scheduledString"] = _words(found)
    made.add(element, {"detail": detail}, code_of(node), node.line)


_KINDS = {
    "concept": _concept,
    "concepts": _concepts,
    "text": _text,
    "guidance": _guidance,
    "appointment": _appointment,
}
