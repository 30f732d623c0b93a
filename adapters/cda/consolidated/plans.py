"""What is to come: goals -> Goal, planned and ordered acts -> ServiceRequest, hand-offs -> Communication."""

from adapters.cda.consolidated.fields import Row, authored, coded, fill, low_of, status, who, word
from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.cda.section import Section
from adapters.cda.values import value_of
from adapters.contract import Resource
from adapters.kit.codes import SNOMED
from adapters.kit.resource import Made

_REQUEST = (
    Row("id", "identifier", "identifiers"),
    Row("targetSiteCode", "bodySite", "concepts"),
    Row("performer", "performer", "performers"),
)
_COMMUNICATION = (Row("id", "identifier", "identifiers"), Row("text", "note", "note"))
_REFERRAL = {"coding": [{"system": SNOMED, "code": "3457005", "display": "Patient referral"}]}
_DETAILS = {"valueQuantity", "valueRange", "valueString", "valueBoolean", "valueInteger", "valueRatio"}
_INTENT = ("proposal", "plan", "directive", "order")


def goal(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made:
    """A goal observation -> Goal: description is its words or code, the value its target."""
    made = work.made("Goal", node)
    fill(work, made, node, (Row("id", "identifier", "identifiers"),))
    made.put("lifecycleStatus", status(work, node, "goal", "active"), node.path, node.line)
    measure = work.concept(node.child("code"))
    found = value_of(work, node)
    words = str(found[1]) if found and found[0] == "valueString" else ""
    made.put("description", {"text": words} if words else measure or {"text": "goal"}, node.path, node.line)
    made.put("subject", work.patient)
    at = node.child("effectiveTime")
    made.put("startDate", low_of(work, at).partition("T")[0], node.path, node.line)
    target: Resource = {**({"measure": measure} if measure else {})}
    if found and found[0] == "valueCodeableConcept":
        target["detailCodeableConcept"] = found[1]
    elif found and found[0] in _DETAILS and measure:
        target[found[0].replace("value", "detail")] = found[1]
    high = at.child("high") if at is not None else None
    due = work.date_time(high).partition("T")[0] if high is not None else ""
    if due:
        target["dueDate"] = due
    made.add("target", target if len(target) > (1 if measure else 0) or measure else None, node.path, node.line)
    authored(work, made, node, "expressedBy", "")
    return made


def planned_observation(
    work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None
) -> Made | None:
    """A planned observation: a goal by its mood, else something asked for."""
    take = goal if node.get("moodCode") == "GOL" else request
    return take(work, section, node, above, part_of)


def request(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made:
    """A planned or ordered act, procedure, encounter, supply -> ServiceRequest."""
    made = work.made("ServiceRequest", node)
    fill(work, made, node, _REQUEST)
    made.put("status", status(work, node, "request", "active"), node.path, node.line)
    intent = word("intent", node.get("moodCode"))
    made.put("intent", intent if intent in _INTENT else "plan", node.path, node.line)
    if section.code == "42349-1":
        made.add("category", _REFERRAL)
        work.referrals.append(made)
    priority = node.child("priorityCode")
    if priority is not None and priority.get("code") in ("A", "UR", "EM"):
        work.use(priority)
        kind = {"A": "asap", "UR": "urgent", "EM": "stat"}[priority.get("code")]
        made.put("priority", kind, priority.path, priority.line)
    code = node.child("code")
    product = node.find("product/manufacturedProduct/manufacturedMaterial/code")
    if code is None and product is not None:
        work.use(node.child("product"), node.find("product/manufacturedProduct"))
    made.put("code", coded(work, code or product), f"{node.path}/code", node.line)
    work.about(made)
    for at in node.named("effectiveTime")[:1]:
        if at.get("value"):
            made.put("occurrenceDateTime", work.date_time(at), at.path, at.line)
        else:
            made.put("occurrencePeriod", work.period(at), at.path, at.line)
    words = node.child("text")
    made.put("patientInstruction", work.prose(words) if words is not None else "", node.path, node.line)
    for child in node.named("participant"):
        for one in who(work, child) if child.get("typeCode") in ("REFT", "IRCP", "PRF", "REFB") else ():
            made.add("performer", one, child.path, child.line)
    authored(work, made, node, "requester", "authoredOn")
    return made


def instruction(
    work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None
) -> Made | None:
    """An instruction: of a drug into its dosage, else a ServiceRequest for what the patient is to do."""
    dosage = (
        part_of.resource.get("dosage") or part_of.resource.get("dosageInstruction") if part_of is not None else None
    )
    if dosage and "patientInstruction" not in dosage[0]:
        words = node.child("text")
        text = work.prose(words) if words is not None else ""
        if text:
            dosage[0]["patientInstruction"] = text
        what = work.concept(node.child("code"))
        if what:
            dosage[0].setdefault("additionalInstruction", []).append(what)
        work.use(node, node.child("statusCode"))
        return None
    return request(work, section, node, above, part_of)


def communication(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made:
    """A hand-off to those who go on treating -> Communication."""
    made = work.made("Communication", node)
    fill(work, made, node, _COMMUNICATION)
    state = node.child("statusCode")
    work.use(state)
    made.put("status", "completed" if state is not None and state.get("code") == "completed" else "in-progress")
    concept = work.concept(node.child("code"))
    made.add("category", concept, f"{node.path}/code", node.line)
    work.about(made)
    at = node.child("effectiveTime")
    made.put("sent", low_of(work, at), node.path, node.line)
    for child in node.named("participant"):
        for one in who(work, child):
            made.add("recipient", one, child.path, child.line)
    for child in node.named("author"):
        person, place = who(work, child)
        if "sender" not in made.resource:
            made.put("sender", person or place, child.path, child.line)
    return made
