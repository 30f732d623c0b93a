"""When care took place: by which search parameters `start` and `end` of $everything judge the records of a type.

Types that are not here are always part of the answer: they say what holds for long (allergies, conditions, coverage,
consents) or have no date of care. So is a record of a type below without any of these dates.
"""

from server.keys import SPAN, All, Any, Not, Present, Test
from server.search.kinds.kind import Setting
from server.search.query import criterion

CARE_DATES: dict[str, tuple[str, ...]] = {
    "AdverseEvent": ("date",),
    "Appointment": ("date",),
    "CarePlan": ("date",),
    "CareTeam": ("date",),
    "ChargeItem": ("occurrence",),
    "ClinicalImpression": ("date",),
    "Communication": ("sent", "received"),
    "CommunicationRequest": ("occurrence", "authored"),
    "Composition": ("date",),
    "DeviceRequest": ("event-date", "authored-on"),
    "DiagnosticReport": ("date",),
    "DocumentReference": ("period", "date"),
    "Encounter": ("date",),
    "EpisodeOfCare": ("date",),
    "ImagingStudy": ("started",),
    "Immunization": ("date",),
    "Media": ("created",),
    "MedicationAdministration": ("effective-time",),
    "MedicationDispense": ("whenhandedover", "whenprepared"),
    "MedicationRequest": ("authoredon",),
    "MedicationStatement": ("effective",),
    "NutritionOrder": ("datetime",),
    "Observation": ("date",),
    "Procedure": ("date",),
    "QuestionnaireResponse": ("authored",),
    "RequestGroup": ("authored",),
    "RiskAssessment": ("date",),
    "ServiceRequest": ("occurrence", "authored"),
    "Specimen": ("collected",),
    "SupplyRequest": ("date",),
    "VisionPrescription": ("datewritten",),
}


def within(type: str, start: str | None, end: str | None, setting: Setting) -> Test | None:
    """Records of care that touch the time from `start` to `end`; None: all of the type. Raises Invalid."""
    bounds = [(name, prefix + date) for name, prefix, date in (("start", "ge", start), ("end", "le", end)) if date]
    codes = CARE_DATES.get(type, ())
    if not bounds or not codes:
        return None
    dated = [All(tuple(criterion(type, code, "", name, value, setting) for name, value in bounds)) for code in codes]
    undated = All(tuple(Not(Present(f"{type}.{code}", SPAN)) for code in codes))
    return Any((*dated, undated))
