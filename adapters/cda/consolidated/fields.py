"""Rows (child element, FHIR element, kind) -> elements of a resource, each with where it came from."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from adapters.cda.contacts import address, person_name, telecom
from adapters.cda.conversion import Conversion
from adapters.cda.participants import organization, practitioner
from adapters.cda.record import TYPE, Node
from adapters.cda.values import quantity
from adapters.contract import Resource
from adapters.kit import codes
from adapters.kit.resource import Made

NULL_FLAVOR = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"


class Row(NamedTuple):
    """`kind` is a key of KINDS; a child that comes again is added if the element repeats, else left to be listed."""

    child: str
    element: str
    kind: str


def fill(work: Conversion, made: Made, node: Node, rows: Sequence[Row]) -> None:
    """Takes each row's children of `node` into the resource."""
    work.use(node)
    for name, element, kind in rows:
        take = _KINDS[kind]
        for child in node.children:
            if child.name == name and not child.attributes.get("nullFlavor"):
                take(work, made, element, child)


def word(kind: str, code: str) -> str:
    """The FHIR code of a source code; '' when no row of clinical_words.csv has it."""
    row = codes.table("adapters.cda", "clinical_words.csv").get(f"{kind}:{code}")
    return row[0] if row else ""


def status(work: Conversion, node: Node, kind: str, otherwise: str) -> str:
    child = node.child("statusCode")
    work.use(child)
    return word(kind, child.get("code").lower()) or otherwise if child is not None else otherwise


def coded(work: Conversion, node: Node | None) -> Resource:
    """A CodeableConcept for an element that must have one: for a nullFlavor, that."""
    found = work.concept(node)
    if found is not None:
        return found
    flavor = node.get("nullFlavor") if node is not None else ""
    return {"coding": [{"system": NULL_FLAVOR, "code": flavor or "NI"}]}


def low_of(work: Conversion, node: Node | None) -> str:
    """The start of an effectiveTime, or the point in time it is; '' if it says neither."""
    if node is None:
        return ""
    low = node.child("low")
    work.use(node)
    if low is not None and low.get("value"):
        return work.date_time(low)
    return work.date_time(node) if node.get("value") else ""


def instant_of(work: Conversion, node: Node | None) -> str:
    """The same as an instant; '' when it is only a day."""
    if node is None or len(node.get("value")) <= len("20240131"):
        return ""
    return work.date_time(node)


def who(work: Conversion, node: Node) -> tuple[Resource | None, Resource | None]:
    """(person, institution) of an author, performer, participant or informant."""
    work.use(node)
    person: Resource | None = None
    place: Resource | None = None
    for entity in node.named("assignedAuthor", "assignedEntity", "participantRole", "associatedEntity"):
        work.use(entity)
        person = person or practitioner(work, entity)
        for one in entity.named("representedOrganization"):
            found = organization(work, one)
            place = place or found
    for entity in node.named("relatedEntity"):
        person = person or _relative(work, entity)
    return person, place


def _relative(work: Conversion, node: Node) -> Resource | None:
    """RelatedPerson of a relative who told something; None for one without a name."""
    name = person_name(work, node.find("relatedPerson/name"))
    if name is None:
        return None
    work.use(node, node.child("relatedPerson"))
    made = work.made("RelatedPerson", node)
    made.put("patient", work.patient)
    made.add("relationship", work.concept(node.child("code")), node.path, node.line)
    made.add("name", name, node.path, node.line)
    for one in node.named("telecom"):
        made.add("telecom", telecom(work, one), one.path, one.line)
    for one in node.named("addr"):
        made.add("address", address(work, one), one.path, one.line)
    return made.reference(str(name["text"]))


def authored(work: Conversion, made: Made, node: Node, person: str, when: str) -> None:
    """The first author: who and when. `person` and `when` are elements, '' for none; `performer` repeats."""
    for author in node.named("author"):
        who_, place = who(work, author)
        actor = who_ or place
        if person and actor is not None:
            if person in ("performer", "author"):
                made.add(person, actor, author.path, author.line)
            elif person not in made.resource:
                made.put(person, actor, author.path, author.line)
        at = author.child("time")
        if at is not None and when and when not in made.resource:
            if when == "issued":
                made.put(when, instant_of(work, at), at.path, at.line)
            elif at.get("value"):
                made.put(when, work.date_time(at), at.path, at.line)


# ----------------------------------------------------------------------------------------------------- kinds
def _identifiers(work: Conversion, made: Made, element: str, node: Node) -> None:
    made.add(element, work.identifier(node), node.path, node.line)


def _concept(work: Conversion, made: Made, element: str, node: Node) -> None:
    if element not in made.resource:
        made.put(element, work.concept(node), node.path, node.line)


def _concepts(work: Conversion, made: Made, element: str, node: Node) -> None:
    made.add(element, work.concept(node), node.path, node.line)


def _when(work: Conversion, made: Made, element: str, node: Node) -> None:
    """`performed` -> performedPeriod or performedDateTime."""
    if f"{element}Period" in made.resource or f"{element}DateTime" in made.resource:
        return
    if node.get("value"):
        made.put(f"{element}DateTime", work.date_time(node), node.path, node.line)
        return
    period = work.period(node)
    if period:
        made.put(f"{element}Period", period, node.path, node.line)
        return
    center = node.child("center")
    if center is not None:
        made.put(f"{element}DateTime", work.date_time(center), center.path, center.line)


def _period(work: Conversion, made: Made, element: str, node: Node) -> None:
    if element in made.resource:
        return
    point = work.date_time(node) if node.get("value") else ""
    made.put(element, {"start": point} if point else work.period(node), node.path, node.line)


def _start(work: Conversion, made: Made, element: str, node: Node) -> None:
    if element not in made.resource:
        made.put(element, low_of(work, node), node.path, node.line)


def _note(work: Conversion, made: Made, element: str, node: Node) -> None:
    """The statement's own words, where it does not only point into the section's text."""
    words = node.words()
    if words:
        work.keep(node, "kept as a note")
        made.add(element, {"text": words}, node.path, node.line)


def _quantity(work: Conversion, made: Made, element: str, node: Node) -> None:
    if element in made.resource:
        return
    found = quantity(node.get("value"), node.get("unit"))
    if found is not None:
        work.use(node)
        made.put(element, found, node.path, node.line)


def _text(work: Conversion, made: Made, element: str, node: Node) -> None:
    if element not in made.resource:
        made.put(element, work.text(node), node.path, node.line)


def _performers(work: Conversion, made: Made, element: str, node: Node) -> None:
    for one in who(work, node):
        made.add(element, one, node.path, node.line)


def _actors(work: Conversion, made: Made, element: str, node: Node) -> None:
    """performer as a BackboneElement with an actor (Procedure, Immunization, MedicationDispense)."""
    person, place = who(work, node)
    actor = person or place
    if actor is None:
        return
    value: Resource = {"actor": actor}
    if made.type == "Procedure" and person is not None and place is not None:
        value["onBehalfOf"] = place
    made.add(element, value, node.path, node.line)


_KINDS: dict[str, Callable[[Conversion, Made, str, Node], None]] = {
    "identifiers": _identifiers,
    "concept": _concept,
    "concepts": _concepts,
    "when": _when,
    "period": _period,
    "start": _start,
    "note": _note,
    "quantity": _quantity,
    "text": _text,
    "performers": _performers,
    "actors": _actors,
}


def type_of(node: Node) -> str:
    """`IVL_TS` of xsi:type="ns:IVL_TS"."""
    return node.get(TYPE).rpartition(":")[2]
