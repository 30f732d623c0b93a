"""What was found and done: DG1 -> Condition, AL1 -> AllergyIntolerance, PR1 -> Procedure."""

from adapters.contract import Resource
from adapters.hl7v2.map_context import Context, filled, lookup, said
from adapters.hl7v2.map_datatypes import code_system, coded, entity, notes
from adapters.hl7v2.map_people import practitioner
from adapters.hl7v2.message import Segment, Value
from adapters.kit.resource import Made

TERMS = "http://terminology.hl7.org/CodeSystem/"


def _described(context: Context, segment: Segment) -> tuple[Resource | None, str]:
    """(code, remaining description) of DG1/PR1: field 3 in the system it names or field 2 names, field 4 in words."""
    value, method, words = segment.value(3), segment.value(2), said(segment.value(4).whole)
    system = said(method.component(1))
    # DG1-2 is a coding method in some systems and a running code (`D1`) in others; only a known system counts.
    named = code_system(context, system) if lookup("code_systems", system) else ""
    concept = coded(context, value, named)
    if concept is None:
        return ({"text": words} if words else None), ""
    if not said(value.component(2)) and not said(value.component(9)) and words:
        return concept | {"text": words}, ""
    return concept, "" if words == concept["text"] else words


def _identity(concept: Resource) -> str:
    """What tells one coded statement from another: its first code, else its text."""
    coding = concept.get("coding") or [{}]
    return str(coding[0].get("code") or concept["text"])


def _note(context: Context, made: Made, segment: Segment, words: str) -> None:
    made.add("note", {"text": words} if words else None, f"{segment.name}-4", segment.line)
    for note, value in notes(context, segment):
        made.add("note", note, value.place, value.line)


# ---------------------------------------------------------------------------------------------- Condition
def condition(context: Context, segment: Segment) -> None:
    """DG1 -> Condition, and Encounter.diagnosis with its role (DG1-6) and rank (DG1-15)."""
    segment.note(1)
    if context.patient is None or context.repeats(segment):
        return
    concept, words = _described(context, segment)
    if concept is None:
        context.problem("warning", "incomplete", "the diagnosis has no code and no text", "DG1-3", segment.line)
        return
    kind, own = segment.value(6), entity(context, segment.value(20), "diagnosis")
    role = said(kind.taken().component(1))
    identity = own["value"] if own else f"{_identity(concept)}|{role}"
    made = context.make("Condition", context.own_key(context.scope(), "condition", identity), "owned")
    made.add("identifier", own, "DG1-20", segment.line)
    category = {"coding": [{"system": f"{TERMS}condition-category", "code": "encounter-diagnosis"}]}
    made.add("category", category if context.encounter else None)
    made.put("code", concept, "DG1-3", segment.line)
    made.put("subject", context.subject(), "PID-3")
    if context.encounter:
        made.put("encounter", context.encounter.reference(), "PV1-19")
    value = segment.value(5)
    made.put("onsetDateTime", context.when(value), value.place, value.line)
    value = segment.value(19)
    made.put("recordedDate", context.when(value), value.place, value.line)
    value = segment.value(16)
    made.put("asserter", practitioner(context, value), value.place, value.line)
    _verified(made, segment, role)
    _note(context, made, segment, words)
    _diagnosis(context, made, segment, kind)


def _verified(made: Made, segment: Segment, role: str) -> None:
    """DG1-21 = D takes the diagnosis back; else DG1-6 says how sure it is."""
    deleted = segment.value(21).component(1).upper() == "D"
    row = lookup("diagnosis_role", role)
    status = "entered-in-error" if deleted else row[2] if row else ""
    if status:
        concept = {"coding": [{"system": f"{TERMS}condition-ver-status", "code": status}]}
        made.put("verificationStatus", concept, "DG1-21" if deleted else "DG1-6", segment.line)


def _diagnosis(context: Context, made: Made, segment: Segment, kind: Value) -> None:
    role = said(kind.component(1))
    use: Resource | None = None
    if role:
        row = lookup("diagnosis_role", role)
        if row is None:
            context.unknown(kind, role, "diagnosis type")
            use = {"text": said(kind.component(2)) or role}
        else:
            coding = [{"system": f"{TERMS}diagnosis-role", "code": row[0], "display": row[1]}] if row[0] else []
            use = filled({"coding": coding, "text": row[1]})
    if context.encounter:
        rank = said(segment.value(15).component(1))
        number = int(rank) if rank.isdigit() and int(rank) > 0 else None
        content = filled({"condition": made.reference(), "use": use, "rank": number})
        context.encounter.add("diagnosis", content, kind.place, kind.line)


# ------------------------------------------------------------------------------------- AllergyIntolerance
def allergy(context: Context, segment: Segment) -> None:
    """AL1 -> AllergyIntolerance of the patient, active."""
    segment.note(1)
    if context.patient is None or context.repeats(segment):
        return
    value = segment.value(3)
    concept = coded(context, value)
    if concept is None:
        context.problem("warning", "incomplete", "the allergy names no substance; left out", "AL1-3", segment.line)
        return
    who = context.patient_key.removeprefix(context.mapped.source + "|")
    made = context.make("AllergyIntolerance", context.own_key(who, "allergy", _identity(concept)), "owned")
    made.put("clinicalStatus", {"coding": [{"system": f"{TERMS}allergyintolerance-clinical", "code": "active"}]})
    kind = segment.value(2)
    code = said(kind.taken().component(1))
    row = lookup("allergy_category", code)
    if code and row is None:
        context.unknown(kind, code, "allergen type")
        made.add("note", {"text": f"AL1-2: {said(kind.component(2)) or code}"}, kind.place, kind.line)
    made.add("category", row[0] if row else None, kind.place, kind.line)
    severity = segment.value(4)
    level = said(severity.taken().component(1))
    grade = lookup("allergy_criticality", level)
    if grade is None and level:
        context.unknown(severity, level, "allergy severity")
        made.add("note", {"text": f"AL1-4: {said(severity.component(2)) or level}"}, severity.place, severity.line)
    made.put("criticality", grade[0] if grade else None, severity.place, severity.line)
    made.put("code", concept, value.place, value.line)
    made.put("patient", context.subject(), "PID-3")
    when = segment.value(6)
    made.put("onsetDateTime", context.when(when), when.place, when.line)
    felt = [(text, value) for value in segment.values(5) if (text := said(value.whole))]
    if felt:
        content: Resource = {"manifestation": [{"text": text} for text, _ in felt]}
        if grade and grade[1]:
            content["severity"] = grade[1]
        made.add("reaction", content, felt[0][1].place, felt[0][1].line)
    _note(context, made, segment, "")


# ---------------------------------------------------------------------------------------------- Procedure
def procedure(context: Context, segment: Segment) -> None:
    """PR1 -> Procedure, completed; PR1-20 = D takes it back."""
    segment.note(1)
    if context.patient is None or context.repeats(segment):
        return
    concept, words = _described(context, segment)
    if concept is None:
        context.problem("warning", "incomplete", "the procedure has no code and no text", "PR1-3", segment.line)
        return
    when, own = segment.value(5), entity(context, segment.value(19), "procedure")
    identity = own["value"] if own else f"{_identity(concept)}|{when.component(1)}"
    made = context.make("Procedure", context.own_key(context.scope(), "procedure", identity), "owned")
    made.add("identifier", own, "PR1-19", segment.line)
    deleted = segment.value(20).component(1).upper() == "D"
    made.put("status", "entered-in-error" if deleted else "completed", "PR1-20", segment.line)
    value = segment.value(6)
    made.put("category", coded(context, value), value.place, value.line)
    made.put("code", concept, "PR1-3", segment.line)
    made.put("subject", context.subject(), "PID-3")
    if context.encounter:
        made.put("encounter", context.encounter.reference(), "PV1-19")
    made.put("performedDateTime", context.when(when), when.place, when.line)
    for field, function in ((11, "surgeon"), (8, "anaesthetist"), (12, "procedure practitioner")):
        for value in segment.values(field):
            actor = practitioner(context, value)
            if actor:
                made.add("performer", {"function": {"text": function}, "actor": actor}, value.place, value.line)
    value = segment.value(15)
    made.add("reasonCode", coded(context, value), value.place, value.line)
    _note(context, made, segment, words)
