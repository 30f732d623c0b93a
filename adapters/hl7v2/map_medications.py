"""Medication: RXO, RXE -> MedicationRequest; RXD -> MedicationDispense; RXA -> MedicationAdministration."""

from adapters.contract import Resource
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.map_coverage import charge
from adapters.hl7v2.map_datatypes import (
    add_notes,
    coded,
    decimal,
    entity,
    quantity,
    text_concept,
    unknown_concept,
    when,
)
from adapters.hl7v2.map_dosage import FIELDS, dosage, given_dose
from adapters.hl7v2.map_orders import diagnoses, order_status
from adapters.hl7v2.map_people import practitioner, roles
from adapters.hl7v2.map_reports import numbers
from adapters.hl7v2.map_results import observations
from adapters.hl7v2.message import Segment, Value
from adapters.hl7v2.structure import Group
from adapters.kit.resource import Made

DRUG_GROUPS = ("ORDERED", "ENCODED", "DISPENSED", "GIVEN", "ADMINISTERED")

_SUPPLY = {"RXO": (11, 12, 13), "RXE": (10, 11, 12)}  # amount, unit, refills


def prescription(context: Context, group: Group) -> None:
    """An ORDER group with drugs: what was ordered, dispensed, given."""
    request: Made | None = None
    ordered = next(iter(group.sub("ORDERED")), None)
    encoded = group.sub("ENCODED")
    for inner in encoded or group.sub("ORDERED"):
        request = _request(context, group, inner, ordered if encoded else None)
    for inner in group.sub("DISPENSED"):
        _dispense(context, group, inner, request)
    for inner in (*group.sub("GIVEN"), *group.sub("ADMINISTERED")):
        _administration(context, group, inner, request)
    diagnoses(context, group, request)
    for made in observations(context, group.sub("OBSERVATION")):
        if request is not None:
            request.add("supportingInformation", made.reference(), "OBX-3")
    for inner in group.sub("CHARGE"):
        charge(context, inner)


# ------------------------------------------------------------------------------------- MedicationRequest
_COMMON = ((9, "authoredOn", when), (12, "requester", practitioner), (16, "reasonCode[]", coded))
_GIVEN = ((18, "statusReason[]", coded), (19, "reasonCode[]", coded), (9, "note[]", text_concept))


def _request(context: Context, group: Group, inner: Group, ordered: Group | None) -> Made:
    segment = inner.segments[0]
    common = group.first("ORC")
    placer, filler = numbers(context, common, None)
    own = entity(context, segment.value(15), "prescription") if segment.name == "RXE" else None
    medication = coded(context, segment.value(FIELDS[segment.name]["code"]))
    number = placer or filler
    identity = number[0]["value"] if number else own["value"] if own else f"{context.scope()}|{_word(medication)}"
    made = context.make("MedicationRequest", context.own_key("prescription", identity), "owned")
    for one in (placer, filler):
        if one is not None:
            made.add("identifier", one[0], one[1].place, one[1].line)
    made.add("identifier", own, segment.place(15), segment.line)
    status, value = order_status(context, common, "medication", "active")
    made.put("status", status, value.place if value else "ORC-1", value.line if value else None)
    made.put("intent", "order")
    _medication(context, made, segment, medication, inner)
    context.about(made)
    if common is not None:
        grouped = common.value(4)
        made.put("groupIdentifier", entity(context, grouped, "order-group"), grouped.place, grouped.line)
        context.fill(made, common, _COMMON)
    _urgency(context, made, group, inner)
    dosage(context, made, segment, group, inner)
    _supply(context, made, segment)
    if segment.name == "RXO":
        context.fill(made, segment, ((20, "reasonCode[]", coded), (14, "requester", practitioner)))
    else:
        context.fill(made, segment, ((27, "reasonCode[]", coded), (13, "requester", practitioner)))
    if ordered is not None:
        _fallback(context, made, ordered, group)
    _substitution(made, segment)
    for actor, _, value, _ in roles(context, [*group.segments, *inner.segments]):
        if "performer" not in made.resource:
            made.put("performer", actor, value.place, value.line)
    add_notes(context, made, [*group.all("NTE"), *inner.all("NTE")])
    return made


def _word(concept: Resource | None) -> str:
    return str(((concept or {}).get("coding") or [{}])[0].get("code") or (concept or {}).get("text", ""))


def _fallback(context: Context, made: Made, ordered: Group, group: Group) -> None:
    """What only the doctor's order (RXO) says: the reason, the dose where the pharmacy wrote none."""
    segment = ordered.first("RXO")
    context.fill(made, segment, ((20, "reasonCode[]", coded), (14, "requester", practitioner)))
    if segment is not None and "dosageInstruction" not in made.resource:
        dosage(context, made, segment, group, ordered)
    if segment is not None and "dispenseRequest" not in made.resource:
        _supply(context, made, segment)
    add_notes(context, made, ordered.all("NTE"))


def _medication(context: Context, made: Made, segment: Segment, concept: Resource | None, inner: Group) -> None:
    """medication[x]: a concept; a Medication of its own where form, strength, lot or components are told."""
    fields = FIELDS[segment.name]
    value = segment.value(fields["code"])
    if concept is None:
        context.problem("warning", "incomplete", "the drug has no code and no name", value.place, segment.line)
        concept = unknown_concept()
    form = segment.value(fields["form"]) if "form" in fields else None
    parts = inner.all("RXC")
    shape = coded(context, form) if form is not None else None
    if shape is None and not parts:
        made.put("medicationCodeableConcept", concept, value.place, value.line)
        return
    drug = context.make("Medication", f"{made.key}|medication", "owned")
    drug.put("code", concept, value.place, value.line)
    if form is not None:
        drug.put("form", shape, form.place, form.line)
    for part in parts:
        _ingredient(context, drug, part)
    made.put("medicationReference", drug.reference(concept.get("text", "")), value.place, value.line)


def _ingredient(context: Context, drug: Made, part: Segment) -> None:
    value, size = part.value(2), part.value(3)
    concept = coded(context, value)
    number = decimal(size.component(1))
    strength = None
    if number is not None:
        strength = {"numerator": quantity(context, number, part.value(4)), "denominator": {"value": 1}}
    if concept:
        base = part.value(1).component(1).upper()
        content = {"itemCodeableConcept": concept, "isActive": base != "B", "strength": strength}
        drug.add("ingredient", filled(content), value.place, value.line)
        context.traced(drug, "ingredient.strength", *((size, part.value(4)) if strength else ()), part.value(1))


def _urgency(context: Context, made: Made, group: Group, inner: Group) -> None:
    timing = next((sub.first("TQ1") for sub in (*group.sub("TIMING"), *inner.sub("TIMING"))), None)
    value = timing.value(9) if timing is not None else None
    if value is not None and value.text:
        row = context.row("priority", value.taken().said(1))
        made.put("priority", row[0] if row else None, value.place, value.line)
        if row is None and value.said(1):
            context.unknown(value, value.said(1), "priority")


def _supply(context: Context, made: Made, segment: Segment) -> None:
    amount, unit, refills = (segment.value(field) for field in _SUPPLY[segment.name])
    size, again = decimal(amount.component(1)), refills.component(1)
    content: Resource = {}
    if again.isdecimal() and len(again) < 4:
        content["numberOfRepeatsAllowed"] = int(again)
    if size is not None:
        content["quantity"] = quantity(context, size, unit)
    if content:
        made.put("dispenseRequest", content)
        context.traced(made, "dispenseRequest.quantity", *([amount, unit] if size is not None else []))
        repeats = "numberOfRepeatsAllowed" in content
        context.traced(made, "dispenseRequest.numberOfRepeatsAllowed", *([refills] if repeats else []))


def _substitution(made: Made, segment: Segment) -> None:
    value = segment.value(9)
    allowed = {"Y": True, "G": True, "T": True, "N": False}.get(value.component(1).upper())
    if allowed is not None:
        made.put("substitution", {"allowedBoolean": allowed}, value.place, value.line)


# ------------------------------------------------------------------------------------ MedicationDispense
def _dispense(context: Context, group: Group, inner: Group, request: Made | None) -> None:
    segment = inner.segments[0]
    placer, filler = numbers(context, group.first("ORC"), None)
    prescribed = segment.value(7)
    own = entity(context, prescribed, "prescription")
    number = filler or placer
    medication = coded(context, segment.value(2))
    base = number[0]["value"] if number else own["value"] if own else f"{context.scope()}|{_word(medication)}"
    identity = f"{base}|{segment.value(1).component(1)}|{segment.value(3).component(1)}"
    made = context.make("MedicationDispense", context.own_key("dispense", identity), "owned")
    made.add("identifier", own, prescribed.place, prescribed.line)
    made.put("status", "completed")
    _medication(context, made, segment, medication, inner)
    made.put("subject", context.subject(), "PID-3")
    if context.encounter:
        made.put("context", context.encounter.reference(), "PV1-19")
    for field in (10,):
        for value in segment.values(field):
            actor = practitioner(context, value)
            made.add("performer", {"actor": actor} if actor else None, value.place, value.line)
    if request is not None:
        made.add("authorizingPrescription", request.reference(), "ORC-2")
    elif placer is not None:
        made.add("authorizingPrescription", {"identifier": placer[0]}, placer[1].place, placer[1].line)
    size = segment.value(4)
    number_of = decimal(size.component(1))
    if number_of is not None:
        made.put("quantity", quantity(context, number_of, segment.value(5)), size.place, size.line)
        context.traced(made, "quantity.unit", segment.value(5))
    context.fill(made, segment, ((3, "whenHandedOver", when), (9, "note[]", text_concept)))
    dosage(context, made, segment, group, inner)
    add_notes(context, made, [*group.all("NTE"), *inner.all("NTE")])


# -------------------------------------------------------------------------------- MedicationAdministration
def _administration(context: Context, group: Group, inner: Group, request: Made | None) -> None:
    segment = inner.segments[0]
    given = segment.name == "RXA"
    placer, filler = numbers(context, group.first("ORC"), None)
    number = filler or placer
    concept = coded(context, segment.value(FIELDS[segment.name]["code"]))
    at = segment.value(3)
    base = number[0]["value"] if number else f"{context.scope()}|{_word(concept)}"
    identity = f"{base}|{at.component(1)}|{segment.value(2).component(1)}"
    made = context.make("MedicationAdministration", context.own_key("administration", identity), "owned")
    for one in (placer, filler):
        if one is not None:
            made.add("identifier", one[0], one[1].place, one[1].line)
    made.put("status", administered(context, segment)[0] if given else "in-progress", segment.place(20), segment.line)
    _medication(context, made, segment, concept, inner)
    made.put("subject", context.subject(), "PID-3")
    if context.encounter:
        made.put("context", context.encounter.reference(), "PV1-19")
    end = segment.value(4) if given else at
    period = context.period(at, end)
    if "end" in period and period["end"] != period.get("start"):
        made.put("effectivePeriod", period, at.place, at.line)
        context.traced(made, "effectivePeriod", end)
    elif "start" in period:
        made.put("effectiveDateTime", period["start"], at.place, at.line)
    else:
        url = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
        made.put("_effectiveDateTime", {"extension": [{"url": url, "valueCode": "unknown"}]})
    for value in segment.values(10) if given else []:
        actor = practitioner(context, value)
        made.add("performer", {"actor": actor} if actor else None, value.place, value.line)
    if given:
        context.fill(made, segment, _GIVEN)
    if request is not None:
        made.put("request", request.reference(), "ORC-2")
    given_dose(context, made, segment, inner)
    add_notes(context, made, [*group.all("NTE"), *inner.all("NTE")])
    for seen in observations(context, inner.sub("OBSERVATION")):
        seen.add("partOf", made.reference())


def administered(context: Context, segment: Segment) -> tuple[str, str, Value]:
    """(MedicationAdministration.status, Immunization.status, where from) of RXA-20, taken back by RXA-21 = D."""
    action = segment.value(21)
    if action.component(1).upper() == "D":
        return "entered-in-error", "entered-in-error", action
    value = segment.value(20)
    code = value.taken().component(1)  # NA is a code here, not a placeholder
    row = context.row("completion_status", code)
    if row is None and value.said(1):
        context.unknown(value, code, "completion status")
    return (row[0], row[1], value) if row else ("completed", "completed", value)
