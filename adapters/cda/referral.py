"""Sending a patient on -> ServiceRequest: the section 转诊建议, and 离院方式 2 and 3 of a discharge."""

from adapters.cda.conversion import Conversion
from adapters.cda.participants import chain, organization_named
from adapters.cda.record import Node
from adapters.cda.section import Section, code_of, rule_of
from adapters.cda.tables import disposition, real
from adapters.cda.values import value_of
from adapters.contract import Resource
from adapters.kit.codes import SNOMED
from adapters.kit.resource import Made

INSTITUTION, DEPARTMENT = "DE08.10.013.00", "DE08.10.026.00"
_PATIENT_REFERRAL: Resource = {
    "coding": [{"system": SNOMED, "code": "3457005", "display": "Patient referral"}],
    "text": "转诊",
}


def from_section(work: Conversion, section: Section, *, required: bool) -> Made | None:
    """The ServiceRequest of a section 转诊建议. None when its flag says no, or it says nothing.

    `required`: the document is a referral, so a missing receiving institution is an error, else a warning.
    """
    flags = [node for node in section.node.walk() if rule_of(node) == "referral-flag"]
    reasons = [node for node in section.node.walk() if rule_of(node) == "referral-reason"]
    if any(_denied(node) for node in flags):
        return None
    if not flags and not reasons:
        return None
    node = (flags or reasons)[0]
    for flag in flags:
        work.use(flag, flag.child("code"), flag.child("value"))
    made = work.made("ServiceRequest", section.node)
    _start(work, made, _PATIENT_REFERRAL, "转诊", node)
    for reason in reasons:
        _reason(work, made, reason)
    _to(work, made, section.node)
    if "performer" not in made.resource:
        why = f"the referral names no receiving institution ({INSTITUTION})"
        work.problem("error" if required else "warning", "required", why, node)
    work.referrals.append(made)
    return made


def from_disposition(work: Conversion, node: Node) -> Made | None:
    """离院方式 (DE06.00.223.00): Encounter.hospitalization, and for 2 转院 and 3 转社区 a ServiceRequest to the
    receiving institution named beside it (DE08.10.013.00)."""
    work.use(node, node.child("code"))
    value = node.child("value")
    concept = work.concept(value)
    receiver = _receiver(work, node)
    if concept:
        work.hospitalization["dischargeDisposition"] = concept
    if receiver:
        work.hospitalization["destination"] = receiver
    row = disposition(value.get("code")) if value is not None else None
    if row is None or not row[1]:
        return None
    made = work.made("ServiceRequest", node)
    _start(work, made, {"text": row[2]}, row[0], node)
    if receiver:
        made.add("performer", receiver, INSTITUTION, node.line)
    else:
        why = f"{row[0]}, but no receiving institution ({INSTITUTION}) is named"
        work.problem("warning", "required", why, node)
    work.referrals.append(made)
    return made


def finish(work: Conversion) -> None:
    """Why: the diagnoses of the document, the discharge ones first, are the reason of its referrals."""
    roles = {"discharge": 0, "encounter": 1, "admission": 2}
    conditions = sorted(work.diagnoses, key=lambda item: roles[item[0]])
    best = [made for role, made in conditions if role == conditions[0][0]]
    for made in work.referrals:
        for one in best:
            made.add("reasonReference", one.reference(str(one.resource["code"]["text"])))


# ------------------------------------------------------------------------------------------------ parts
def _start(work: Conversion, made: Made, category: Resource, text: str, node: Node) -> None:
    made.put("status", "active")
    made.put("intent", "order")
    made.add("category", category)
    made.put("code", {"text": text}, code_of(node), node.line)
    work.about(made)
    made.put("authoredOn", work.mapped.when)
    made.put("requester", _requester(work))


def _requester(work: Conversion) -> Resource | None:
    """Who asks, in one reference: a PractitionerRole joins the author to the institution that sends the patient."""
    if work.asking is None:
        return work.custodian
    node, who, place = work.asking
    place = place or work.custodian
    if who is None or place is None:
        return who or place
    key = f"{work.key}|PractitionerRole|{node.path}"
    made = work.shared.get(key)
    if made is None:
        made = work.shared[key] = work.made("PractitionerRole", node)
        made.put("practitioner", who, node.path, node.line)
        made.put("organization", place, node.path, node.line)
    display = "，".join(str(part["display"]) for part in (place, who) if part.get("display"))
    return made.reference(display)


def _denied(node: Node) -> bool:
    value = node.child("value")
    return value is not None and value.get("value").lower() in ("false", "0")


def _reason(work: Conversion, made: Made, node: Node) -> None:
    work.use(node, node.child("code"))
    found = value_of(work, node)
    if found is not None:
        concept = found[1] if found[0] == "valueCodeableConcept" else {"text": str(found[1])}
        made.add("reasonCode", concept, code_of(node), node.line)
    for at in node.all("performer/time"):
        if "occurrenceDateTime" not in made.resource:
            made.put("occurrenceDateTime", work.date_time(at), at.path, at.line)


def _to(work: Conversion, made: Made, section: Node) -> None:
    """The receiving institution and department: as an organisation chain, or as data elements of their own."""
    for performer in [node for node in section.walk() if node.name == "performer"]:
        entity = performer.child("assignedEntity")
        organization = entity.child("representedOrganization") if entity is not None else None
        if organization is None:
            continue
        work.use(performer, entity)
        levels = chain(work, organization)
        for node in organization.walk():
            if node.name in ("code", "assignedOrganizationCode", "assignedWholeOrganizationCode"):
                work.use(node)
        hospital = levels[-1] if levels and (len(levels) > 1 or not _labels_department(organization)) else None
        if hospital is not None:
            to = organization_named(work, hospital.name, hospital.code, hospital.node)
            made.add("performer", to.reference(hospital.name), INSTITUTION, hospital.node.line)
        if levels and levels[0] is not hospital and "performerType" not in made.resource:
            made.put("performerType", {"text": levels[0].name}, DEPARTMENT, levels[0].node.line)
    for node in section.walk():
        if node.name != "observation" or node.child("value") is None:
            continue
        if code_of(node) == INSTITUTION:
            receiver = _named(work, node)
            made.add("performer", receiver, INSTITUTION, node.line)
        elif code_of(node) == DEPARTMENT and "performerType" not in made.resource:
            work.use(node, node.child("code"))
            found = value_of(work, node)
            if found is not None:
                concept = found[1] if found[0] == "valueCodeableConcept" else {"text": str(found[1])}
                made.put("performerType", concept, DEPARTMENT, node.line)


def _labels_department(organization: Node) -> bool:
    code = organization.child("code")
    return code_of(organization) == DEPARTMENT or (code is not None and "科室" in code.get("displayName"))


def _receiver(work: Conversion, node: Node) -> Resource | None:
    for child in node.walk():
        if child is not node and child.name == "observation" and code_of(child) == INSTITUTION:
            return _named(work, child)
    return None


def _named(work: Conversion, node: Node) -> Resource | None:
    """Reference to the Organization that a DE08.10.013.00 observation names in its value; None for a placeholder."""
    code, value = node.child("code"), node.child("value")
    work.use(node, code, value)
    if value is None:
        return None
    name = real(value.words() or value.get("displayName") or value.get("value"), "organization")
    number = real(value.get("code") or value.get("extension"), "id")
    return organization_named(work, name, number, node).reference(name) if name or number else None
