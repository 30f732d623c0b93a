"""Which rule takes a statement of an entry: by element name and data element, then Observation, then its parts."""

from adapters.cda import (
    care_plan,
    diagnoses,
    encounter,
    histories,
    medications,
    observations,
    orders,
    procedures,
    referral,
    reports,
)
from adapters.cda.collected import collect
from adapters.cda.conversion import Conversion
from adapters.cda.record import Node
from adapters.cda.section import Section, code_of, rule_of
from adapters.contract import Resource
from adapters.kit.resource import Made

_LINKS = ("entryRelationship", "component")


def convert_section(work: Conversion, section: Section, *, referral_required: bool) -> None:
    """Everything the section's entries say; their references go to `section.entries`."""
    if section.role == "referral":
        made = referral.from_section(work, section, required=referral_required)
        _entry(section, made)
    _entry(section, medications.herbs(work, section))
    own = section.node.child("text")
    if own is not None:
        work.use_all(own)  # the narrative has it
    for entry in section.node.named("entry"):
        work.use(entry)
        for node in entry.children:
            for reference in convert(work, section, node):
                _listed(section, reference)
    for child in section.sections:
        convert_section(work, child, referral_required=referral_required)


def convert(work: Conversion, section: Section, node: Node, part_of: Resource | None = None) -> list[Resource]:
    """References to what a statement and all below it became. A node that a rule has used is not taken again."""
    if node.name == "procedure":
        made = procedures.procedure(work, section, node)
        return [made.reference(), *_parts(work, section, node, made.reference())]
    if node.name == "substanceAdministration":
        drug = medications.medication(work, section, node)
        return [*_one(drug), *_parts(work, section, node, drug.reference() if drug else None)]
    if node.name in ("observation", "organizer"):
        return _statement(work, section, node, part_of)
    if node.name == "playingEntity" and code_of(node).startswith("DE"):
        return _one(observations.observation(work, section, node, part_of))
    return _parts(work, section, node, part_of)


def _statement(work: Conversion, section: Section, node: Node, part_of: Resource | None) -> list[Resource]:
    if work.used(node):
        return _parts(work, section, node, part_of)
    found = diagnoses.in_group(node)
    if found and part_of is None and _is_about_diagnosis(node):
        return _diagnosed(work, section, node, found)
    collected = collect(work, node)
    if collected is not None:
        return [*collected, *_parts(work, section, node, part_of)]
    rule = rule_of(node)
    if rule in histories.RULES:
        told = histories.history(work, section, node, rule)
        if told is not None:
            return [told.reference(), *_parts(work, section, node, part_of)]
    if rule == "discharge-orders":
        return [*_one(care_plan.care_plan(work, section, node)), *_parts(work, section, node, part_of)]
    if rule == "discharge-disposition":
        made = referral.from_disposition(work, node)
        return [*_one(made), *_parts(work, section, node, part_of)]
    if rule in ("encounter-start", "encounter-end") and work.encounter is not None and _in_period(work, node):
        return [work.encounter.reference()]
    if rule == "encounter-length" and encounter.length(work, node):
        return []
    if node.name == "organizer":
        order = orders.order(work, node) or reports.item(work, section, node)
        if order is not None:
            return [order.reference(), *_parts(work, section, node, order.reference())]
    return _observed(work, section, node, part_of)


def _is_about_diagnosis(node: Node) -> bool:
    """The statement is a diagnosis or a cluster of them, not something else with one far below."""
    return node.name == "organizer" or rule_of(node) in diagnoses.RULES


def _diagnosed(work: Conversion, section: Section, node: Node, found: list[diagnoses.Diagnosis]) -> list[Resource]:
    """The Conditions, and what else the group says (入院病情 among it) as Observations about them."""
    work.use(node)
    references: list[Resource] = []
    for diagnosis in found:
        made = diagnoses.condition(work, section, diagnosis)
        references += _one(made)
        if diagnosis.condition is not None:
            told = observations.observation(work, section, diagnosis.condition)
            if told is not None and made is not None:
                told.put("focus", [made.reference()])
            references += _one(told)
    return references + _parts(work, section, node, None)


def _in_period(work: Conversion, node: Node) -> bool:
    """A time that stands in Encounter.period needs no Observation."""
    if work.encounter is None or "period" not in work.encounter.resource:
        return False
    at = work.date_time(node.child("value"))
    if at not in work.encounter.resource["period"].values():
        return False
    work.use(node, node.child("code"))
    return True


def _observed(work: Conversion, section: Section, node: Node, part_of: Resource | None) -> list[Resource]:
    made = observations.observation(work, section, node, part_of)
    parts = _parts(work, section, node, part_of)
    if made is None:
        return parts
    for reference in parts:
        if _is_observation(work, reference):
            made.add("hasMember", reference)
    return [made.reference(), *parts]


def _parts(work: Conversion, section: Section, node: Node, part_of: Resource | None) -> list[Resource]:
    """The statements below this one, through links, organizers without a name and wrappers of the 2011 edition."""
    references: list[Resource] = []
    for child in node.children:
        if child.name in _LINKS:
            work.use(child)
            for statement in child.children:
                references += convert(work, section, statement, part_of)
        elif child.name not in ("code", "value", "text", "author", "performer"):
            references += convert(work, section, child, part_of)
    return references


def _is_observation(work: Conversion, reference: Resource) -> bool:
    return reference["reference"] in work.observations


def _one(made: Made | None) -> list[Resource]:
    return [made.reference()] if made is not None else []


def _entry(section: Section, made: Made | None) -> None:
    if made is not None:
        _listed(section, made.reference())


def _listed(section: Section, reference: Resource) -> None:
    if reference not in section.entries:
        section.entries.append(reference)
