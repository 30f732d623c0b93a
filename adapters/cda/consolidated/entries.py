"""The entries of a C-CDA section, one after the other, and what lies below them."""

from collections.abc import Callable

from adapters.cda.consolidated import conditions, medications, plans, procedures, results, visits
from adapters.cda.consolidated.fields import word
from adapters.cda.consolidated.templates import claims, rule_of
from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.cda.section import Section
from adapters.contract import Resource
from adapters.kit.resource import Made

_LINKS = ("entryRelationship", "component")
_REASONED = {"MedicationStatement", "MedicationRequest", "Procedure", "Encounter", "Immunization", "ServiceRequest"}
_ROLES = {"46241-6": ("admission", "AD"), "11535-2": ("discharge", "DD"), "42347-5": ("admission", "AD")}
_NOTELESS = {"Encounter", "DiagnosticReport", "Coverage", "Composition", "Medication"}
Rule = Callable[[Conversion, Section, Node, Node | None, Made | None], Made | None]


def convert_section(work: Conversion, section: Section) -> None:
    """Every entry of the section and of those inside it; their references go to `section.entries`."""
    for entry in section.node.named("entry"):
        work.use(entry)
        for node in entry.children:
            for reference in convert(work, section, node, None, None):
                if reference not in section.entries:
                    section.entries.append(reference)
    for child in section.sections:
        convert_section(work, child)


def convert(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> list[Resource]:
    """References to what a statement and all below it became. A statement that a rule has used is not taken again."""
    rule = "" if work.used(node) else rule_of(node, section.code if part_of is None else "")
    if not rule and not work.used(node):
        return []
    made = _RULES[rule](work, section, node, above, part_of) if rule else None
    found: list[Resource] = [made.reference()] if made is not None else []
    if made is not None and part_of is not None:
        _join(made, part_of, rule)
    if made is not None and made.type == "Condition" and part_of is None and section.code in _ROLES:
        work.diagnoses.append((_ROLES[section.code][0], made))
    below = made or part_of
    over = node if rule in ("concern", "allergy-concern") else above if not rule else None
    for link in node.children:
        if link.name not in _LINKS:
            continue
        work.use(link)
        for statement in link.children:
            if statement.name not in ("sequenceNumber", "seperatableInd", "separatableInd"):
                found += convert(work, section, statement, over, below)
    return found


def _join(made: Made, parent: Made, rule: str) -> None:
    """The link from a resource to the one it lies in, where the parent has an element for it."""
    if parent.type == "DiagnosticReport" and made.type == "Observation":
        made.resource.pop("focus", None)
        parent.add("result", made.reference())
    elif parent.type == "Observation" and made.type == "Observation" and rule == "observation":
        made.resource.pop("focus", None)
        parent.add("hasMember", made.reference())
    elif parent.type == "Encounter" and made.type == "Condition":
        parent.add("diagnosis", {"condition": made.reference()})
    elif made.type == "Condition" and parent.type in _REASONED:
        parent.add("reasonReference", made.reference())
    elif made.type == "MedicationDispense" and parent.type == "MedicationRequest":
        made.add("authorizingPrescription", parent.reference())
    elif made.type == "MedicationRequest" and parent.type == "MedicationStatement":
        parent.add("basedOn", made.reference())
    elif made.type == "ServiceRequest" and parent.type == "ServiceRequest":
        made.add("basedOn", parent.reference())


# --------------------------------------------------------------------------------------------- the simple rules
def _wrapper(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made | None:
    """Looked through: only what lies in it becomes something."""
    work.use(node)
    return None


def _act(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made | None:
    """An act of no known template: a comment, something planned, something done, or only a wrapper."""
    code = node.child("code")
    if claims(node, "22.4.64") or (code is not None and code.get("code") == "48767-8"):
        _comment(work, node, part_of)
        return None
    if code is None or not code.get("code") or code.get("code").upper() == "CONC":
        work.use(node)
        return None
    if word("intent", node.get("moodCode")):
        return plans.request(work, section, node, above, part_of)
    return procedures.procedure(work, section, node, above, part_of)


def _comment(work: Conversion, node: Node, part_of: Made | None) -> None:
    words = node.child("text")
    text = work.prose(words) if words is not None else ""
    if part_of is None or part_of.type in _NOTELESS or not text or words is None:
        work.use(node)
        return
    work.use(node, node.child("code"))
    work.keep(words, "kept as a note")
    part_of.add("note", {"text": text}, words.path, words.line)


def _supply(work: Conversion, section: Section, node: Node, above: Node | None, part_of: Made | None) -> Made | None:
    used = procedures.device_use(work, section, node, above, part_of)
    return used or plans.request(work, section, node, above, part_of)


_RULES: dict[str, Rule] = {
    "concern": _wrapper,
    "allergy-concern": _wrapper,
    "wrapper": _wrapper,
    "problem": conditions.problem,
    "allergy": conditions.allergy,
    "medication": medications.medication,
    "medication-supply": medications.supply,
    "dispense": medications.dispense,
    "immunization": medications.immunization,
    "procedure": procedures.procedure,
    "device-use": _supply,
    "supply": _supply,
    "report": results.report,
    "observation": results.observation,
    "group": results.group,
    "encounter": visits.encounter,
    "family": visits.family,
    "coverage": visits.coverage,
    "goal": plans.goal,
    "request": plans.request,
    "planned-observation": plans.planned_observation,
    "instruction": plans.instruction,
    "communication": plans.communication,
    "act": _act,
}
