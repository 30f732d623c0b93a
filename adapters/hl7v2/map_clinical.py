"""What was found and done: DG1 -> Condition, AL1 and IAM -> AllergyIntolerance, PR1 -> Procedure, DB1 -> disability."""

from datetime import datetime, timedelta

from adapters.contract import Resource
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.map_datatypes import add_notes, code_system, coded, concept_of, decimal, entity, text_concept
from adapters.hl7v2.map_people import practitioner, roles
from adapters.hl7v2.message import Segment, Value, said
from adapters.hl7v2.structure import Group
from adapters.kit.resource import Made

TERMS = "http://terminology.hl7.org/CodeSystem/"
DISABILITY = "http://hl7.org/fhir/StructureDefinition/patient-disability"


def _described(context: Context, segment: Segment) -> tuple[Resource | None, str]:
    """(code, remaining description) of DG1/PR1: field 3 in the system it names or field 2 names, field 4 in words."""
    value, method, words = segment.value(3), segment.value(2), said(segment.value(4).whole)
    system = method.said(1)
    # DG1-2 is a coding method in some systems and a running code (`D1`) in others; only a known system counts.
    named = code_system(context, system) if context.row("code_systems", system) else ""
    concept = coded(context, value, named)
    if concept is None:
        return ({"text": words} if words else None), ""
    if not value.said(2) and not value.said(9) and words:
        return concept | {"text": words}, ""
    return concept, "" if words == concept["text"] else words


def identity_of(concept: Resource) -> str:
    """What tells one coded statement from another: its first code, else its text."""
    coding = concept.get("coding") or [{}]
    return str(coding[0].get("code") or concept["text"])


def _note(context: Context, made: Made, group: Group, segment: Segment, words: str) -> None:
    made.add("note", {"text": words} if words else None, segment.place(4), segment.line)
    add_notes(context, made, group.notes(segment))


# ---------------------------------------------------------------------------------------------- Condition
def condition(context: Context, segment: Segment, group: Group) -> None:
    """DG1 -> Condition, and Encounter.diagnosis with its role (DG1-6) and rank (DG1-15)."""
    if context.patient is None or context.repeats(segment):
        return
    concept, words = _described(context, segment)
    if concept is None:
        context.problem(
            "warning", "incomplete", "the diagnosis has no code and no text", segment.place(3), segment.line
        )
        return
    kind, own = segment.value(6), entity(context, segment.value(20), "diagnosis")
    role = kind.taken().said(1)
    identity = own["value"] if own else f"{identity_of(concept)}|{role}"
    made = context.make("Condition", context.own_key(context.scope(), "condition", identity), "owned")
    made.add("identifier", own, segment.place(20), segment.line)
    made.add("category", concept_of(f"{TERMS}condition-category", "encounter-diagnosis") if context.encounter else None)
    made.put("code", concept, segment.place(3), segment.line)
    context.traced(made, "code", segment.value(2), *([segment.value(4)] if not words else []))
    context.about(made)
    value = segment.value(5)
    made.put("onsetDateTime", context.when(value), value.place, value.line)
    value = segment.value(19)
    made.put("recordedDate", context.when(value), value.place, value.line)
    context.fill(made, segment, ((16, "asserter", practitioner),))
    _verified(context, made, segment, role)
    _note(context, made, group, segment, words)
    _diagnosis(context, made, segment, kind)


def _verified(context: Context, made: Made, segment: Segment, role: str) -> None:
    """DG1-21 = D takes the diagnosis back; else DG1-6 says how sure it is."""
    deleted = segment.value(21).component(1).upper() == "D"
    row = context.row("diagnosis_role", role)
    status = "entered-in-error" if deleted else row[2] if row else ""
    if status:
        concept = concept_of(f"{TERMS}condition-ver-status", status)
        made.put("verificationStatus", concept, segment.place(21 if deleted else 6), segment.line)


def _diagnosis(context: Context, made: Made, segment: Segment, kind: Value) -> None:
    role = kind.said(1)
    use: Resource | None = None
    if role:
        row = context.row("diagnosis_role", role)
        if row is None:
            context.unknown(kind, role, "diagnosis type")
            use = {"text": kind.said(2) or role}
        else:
            coding = [{"system": f"{TERMS}diagnosis-role", "code": row[0], "display": row[1]}] if row[0] else []
            use = filled({"coding": coding, "text": row[1]})
    if context.encounter:
        place = segment.value(15)
        rank = place.said(1)
        number = int(rank) if rank.isdecimal() and 0 < int(rank) < 1000 else None
        content = filled({"condition": made.reference(), "use": use, "rank": number})
        context.encounter.add("diagnosis", content, kind.place, kind.line)
        context.traced(context.encounter, "diagnosis", *([place] if number else []))


# ------------------------------------------------------------------------------------- AllergyIntolerance
def allergy(context: Context, segment: Segment, group: Group) -> None:
    """AL1 and IAM -> AllergyIntolerance of the patient, active unless IAM-6 or IAM-17 say otherwise."""
    if context.patient is None or context.repeats(segment):
        return
    value = segment.value(3)
    concept = coded(context, value)
    if concept is None:
        text = "the allergy names no substance; left out"
        context.problem("warning", "incomplete", text, segment.place(3), segment.line)
        return
    who = context.patient_key.removeprefix(context.mapped.source + "|")
    own = entity(context, segment.value(7), "allergy") if segment.name == "IAM" else None
    identity = own["value"] if own else identity_of(concept)
    made = context.make("AllergyIntolerance", context.own_key(who, "allergy", identity), "owned")
    made.add("identifier", own, segment.place(7), segment.line)
    _allergy_status(context, made, segment)
    _category(context, made, segment)
    grade = _criticality(context, made, segment)
    made.put("code", concept, value.place, value.line)
    made.put("patient", context.subject(), "PID-3")
    when = segment.value(6 if segment.name == "AL1" else 11)
    made.put("onsetDateTime", context.when(when), when.place, when.line)
    felt = [(text, value) for value in segment.values(5) if (text := said(value.whole))]
    if felt:
        content: Resource = {"manifestation": [{"text": text} for text, _ in felt]}
        if grade:
            content["severity"] = grade
        made.add("reaction", content, felt[0][1].place, felt[0][1].line)
        context.traced(made, "reaction[0].manifestation", *(value for _, value in felt[1:]))
    if segment.name == "IAM":
        context.fill(made, segment, _REPORTED)
    add_notes(context, made, group.notes(segment))


def _allergy_status(context: Context, made: Made, segment: Segment) -> None:
    deleted = segment.name == "IAM" and segment.value(6).component(1).upper() == "D"
    status = segment.value(17) if segment.name == "IAM" else None
    row = context.row("allergy_status", status.taken().said(1)) if status is not None else None
    verification = "entered-in-error" if deleted else row[1] if row else ""
    if not deleted:  # rule ait-1, ait-2: an error has no clinical status, everything else has one
        made.put("clinicalStatus", concept_of(f"{TERMS}allergyintolerance-clinical", row[0] if row else "active"))
    concept = concept_of(f"{TERMS}allergyintolerance-verification", verification) if verification else None
    made.put("verificationStatus", concept, segment.place(6 if deleted else 17), segment.line)


def _category(context: Context, made: Made, segment: Segment) -> None:
    kind = segment.value(2)
    code = kind.taken().said(1)
    row = context.row("allergy_category", code)
    if code and row is None:
        context.unknown(kind, code, "allergen type")
        made.add("note", {"text": f"{kind.place}: {kind.said(2) or code}"})
    made.add("category", row[0] if row else None, kind.place, kind.line)


def _criticality(context: Context, made: Made, segment: Segment) -> str:
    """AllergyIntolerance.criticality; gives the severity of the reaction."""
    severity = segment.value(4)
    level = severity.taken().said(1)
    grade = context.row("allergy_criticality", level)
    if grade is None and level:
        context.unknown(severity, level, "allergy severity")
        made.add("note", {"text": f"{severity.place}: {severity.said(2) or level}"})
    made.put("criticality", grade[0] if grade else None, severity.place, severity.line)
    if grade and grade[1] and segment.raw(5):
        context.traced(made, "reaction[0].severity", severity)
    return grade[1] if grade else ""


def _reporter(context: Context, value: Value) -> Resource | None:
    text = value.said(1)
    display = " ".join(part for part in (value.said(2), text) if part)
    return {"display": display} if display else None


_REPORTED = (
    (13, "recordedDate", lambda context, value: context.when(value)),
    (14, "asserter", _reporter),
    (12, "note[]", text_concept),
)


# ---------------------------------------------------------------------------------------------- Procedure
def procedure(context: Context, group: Group) -> None:
    """PR1 -> Procedure, completed; PR1-20 = D takes it back."""
    segment = group.first("PR1")
    if segment is None or context.patient is None or context.repeats(segment):
        return
    concept, words = _described(context, segment)
    if concept is None:
        context.problem(
            "warning", "incomplete", "the procedure has no code and no text", segment.place(3), segment.line
        )
        return
    when, own = segment.value(5), entity(context, segment.value(19), "procedure")
    identity = own["value"] if own else f"{identity_of(concept)}|{when.component(1)}"
    made = context.make("Procedure", context.own_key(context.scope(), "procedure", identity), "owned")
    made.add("identifier", own, segment.place(19), segment.line)
    deleted = segment.value(20).component(1).upper() == "D"
    made.put("status", "entered-in-error" if deleted else "completed", segment.place(20), segment.line)
    value = segment.value(6)
    made.put("category", coded(context, value), value.place, value.line)
    made.put("code", concept, segment.place(3), segment.line)
    context.traced(made, "code", segment.value(2), *([segment.value(4)] if not words else []))
    context.about(made)
    _performed(context, made, segment, when)
    for field, function in ((11, "surgeon"), (8, "anaesthetist"), (12, "procedure practitioner")):
        for value in segment.values(field):
            actor = practitioner(context, value)
            if actor:
                made.add("performer", {"function": {"text": function}, "actor": actor}, value.place, value.line)
    for actor, role, value, named in roles(context, group.segments):
        target = context.referenced(actor)
        if target is None or target.type in ("Practitioner", "Organization"):
            made.add("performer", filled({"function": role, "actor": actor}), value.place, value.line)
            context.traced(made, "performer.function", named)
    value = segment.value(15)
    made.add("reasonCode", coded(context, value), value.place, value.line)
    _note(context, made, group, segment, words)


def _performed(context: Context, made: Made, segment: Segment, when: Value) -> None:
    """PR1-5, and for how many minutes (PR1-7) where the time is known."""
    start, minutes = context.when(when), segment.value(7)
    number = decimal(minutes.component(1))
    if "T" in start and number is not None and 0 < number < 100_000:
        end = datetime.fromisoformat(start.replace(":60", ":59")) + timedelta(minutes=float(number))
        made.put("performedPeriod", {"start": start, "end": end.isoformat()}, when.place, when.line)
        context.traced(made, "performedPeriod.end", minutes)
    else:
        made.put("performedDateTime", start, when.place, when.line)


# --------------------------------------------------------------------------------------------- disability
def disability(context: Context, segment: Segment, group: Group) -> None:
    """DB1 of the patient (DB1-2 = PT) with DB1-4 = Y -> the patient's disability."""
    if context.patient is None:
        return
    what, given = segment.value(2).taken().component(1).upper(), segment.value(4).taken()
    if what not in ("PT", "") or given.component(1).upper() == "N":
        return
    content = {"url": DISABILITY, "valueCodeableConcept": {"text": "disabled"}}
    context.patient.add("extension", content, given.place, given.line)
