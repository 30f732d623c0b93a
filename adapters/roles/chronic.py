"""A follow-up of a chronic disease -> Encounter, Observations, MedicationStatements, next date, referral advice."""

from adapters.contract import Resource
from adapters.kit import codes
from adapters.kit.resource import Made
from adapters.roles.case import Case, coded
from adapters.roles.fields import Fields, source
from adapters.roles.observing import measured, observations
from adapters.roles.people import name_of

_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_REFERRAL = {"system": codes.SNOMED, "code": "3457005", "display": "Patient referral"}


def make_follow_up(case: Case, disease: str) -> None:
    """`disease` is `I10 高血压` or `E11 2型糖尿病`: what the table is about."""
    fields = case.fields
    encounter = case.make("Encounter", "encounter")
    case.number(encounter, "number", "follow-up")
    deleted = fields.one("deleted")
    row = fields.word(deleted) if deleted else None
    encounter.put("status", row[1] if row else "finished", *source(deleted))
    way = fields.one("visit.class")
    word = fields.word(way) if way else None
    encounter.put("class", {"system": _ACT, "code": word[1] if word else "AMB"}, *source(way))
    encounter.add("type", {"text": f"{disease.partition(' ')[2]}随访"})
    if way:
        encounter.add("type", coded(fields, way), *source(way))
    encounter.put("subject", case.subject)
    if case.org.doctor:
        encounter.add("participant", {"individual": case.org.doctor.reference(name_of(case.org.doctor))})
    encounter.put("period", {"start": case.at} if case.at else None, *source(case.at_field))
    if case.org.institution:
        encounter.put("serviceProvider", case.org.institution.reference(name_of(case.org.institution)), case.org.field)
    condition = _condition(case, disease)
    encounter.add("diagnosis", {"condition": condition.reference()})
    observations(case, case.at, fields, "", encounter)
    _medicines(case, fields, "", encounter)
    for index, child in enumerate(fields.children("medicines", "drugs", "medicineList")):
        _medicines(case, child, f"{index}|", encounter)
    _plan(case, encounter, condition)
    _referral(case, encounter, condition)


def _condition(case: Case, disease: str) -> Made:
    """The disease itself: one a patient and source, whatever the visit."""
    assert case.patient is not None  # open_case demands it of a follow-up
    code, _, text = disease.partition(" ")
    made = Made(case.mapped, "Condition", f"{case.mapped.source}|chronic|{code}|{case.patient.key}", "owned")
    made.put("clinicalStatus", {"coding": [{"system": _CLINICAL, "code": "active"}]})
    made.put("code", codes.concept(code, codes.ICD10, text, text))
    made.put("subject", case.subject)
    return made


def _medicines(case: Case, fields: Fields, prefix: str, encounter: Made) -> None:
    """Columns `drug.1.name`, `drug.1.times`, `drug.1.dose` … and, in a group's row, `drug.name` …"""
    for number in ("", "1.", "2.", "3.", "4."):
        name = fields.one(f"drug.{number}name")
        if name is None:
            continue
        made = case.make("MedicationStatement", f"{prefix}{number}drug|{name.text}")
        made.put("status", "active")
        made.put("medicationCodeableConcept", {"text": name.text}, *source(name))
        made.put("subject", case.subject)
        made.put("context", encounter.reference())
        made.put("effectiveDateTime", case.at, *source(case.at_field))
        dosage: Resource = {}
        times, dose, unit = (fields.one(f"drug.{number}{part}") for part in ("times", "dose", "unit"))
        if times and times.text.isdigit():
            dosage["timing"] = {"repeat": {"frequency": int(times.text), "period": 1, "periodUnit": "d"}}
        quantity = measured(fields, dose, unit.text if unit else "") if dose else None
        if quantity:
            dosage["doseAndRate"] = [{"doseQuantity": quantity}]
        told = [
            f.sentence
            for f in (times, dose)
            if f and not (f is times and f.text.isdigit()) and not (f is dose and quantity)
        ]
        if told:
            dosage["text"] = "；".join(told)
        made.add("dosage", dosage, ", ".join(f.column for f in (times, dose, unit) if f), name.line)


def _plan(case: Case, encounter: Made, condition: Made) -> None:
    """The next visit and the goals agreed: a CarePlan with an activity."""
    next_at, field = case.fields.date_time("next.date")
    advice, goals = case.fields.all("plan"), case.fields.all("goal")
    if not (next_at or advice or goals):
        return
    made = case.make("CarePlan", "plan")
    made.put("status", "active")
    made.put("intent", "plan")
    made.put("title", "下次随访与目标")
    made.put("subject", case.subject)
    made.put("encounter", encounter.reference())
    made.put("created", case.at)
    made.put("author", case.author)
    made.add("addresses", condition.reference())
    if next_at:
        detail = {"status": "scheduled", "code": {"text": "下次随访"}, "scheduledPeriod": {"start": next_at}}
        made.add("activity", {"detail": detail}, *source(field))
    for line in advice:
        made.add("activity", {"detail": {"status": "not-started", "description": line.text}}, *source(line))
    for goal in goals:
        aim = case.make("Goal", f"goal|{goal.column}")
        aim.put("lifecycleStatus", "active")
        aim.put("description", {"text": goal.sentence}, *source(goal))
        aim.put("subject", case.subject)
        quantity = measured(case.fields, goal, goal.meaning.unit)
        if quantity and goal.meaning.code:
            code = {"coding": [{"system": codes.LOINC, "code": goal.meaning.code}]}
            aim.add("target", {"measure": code, "detailQuantity": quantity}, *source(goal))
        made.add("goal", aim.reference())


def _referral(case: Case, encounter: Made, condition: Made) -> None:
    """Advice to see another institution: 转诊原因, 转诊机构及科别 (free text)."""
    reasons, places = case.fields.all("referral.reason"), case.fields.all("referral.to")
    if not reasons and not places:
        return
    made = case.make("ServiceRequest", "referral")
    made.put("status", "active")
    made.put("intent", "proposal")
    made.add("category", {"coding": [_REFERRAL], "text": "双向转诊"})
    made.put("code", {"coding": [_REFERRAL], "text": "转诊"})
    made.put("subject", case.subject)
    made.put("encounter", encounter.reference())
    made.put("authoredOn", case.at, *source(case.at_field))
    made.put("requester", case.author)
    for place in places:
        made.add("performer", {"display": place.text}, *source(place))
    for reason in reasons:
        made.add("reasonCode", coded(case.fields, reason), *source(reason))
    made.add("reasonReference", condition.reference())
