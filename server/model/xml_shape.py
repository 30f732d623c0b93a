"""What XML and JSON of R4 share: namespaces, and per node the order and types of its elements
(https://hl7.org/fhir/R4/xml.html). Both directions read this one table."""

import functools
from typing import NamedTuple

from server.model import tables

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
NUMBERS = frozenset({"decimal", "integer", "unsignedInt", "positiveInt"})


class Slot(NamedTuple):
    """Where a name stands in its node.

    rank  place in the order of the definition; the names of a choice share it.
    name  the element's name without the type of a choice, as FHIRPath has it.
    type  a type name, the path of a backbone node, or `Resource`.
    """

    rank: int
    name: str
    type: str
    many: bool
    plain: bool


@functools.cache
def slots(node: str) -> dict[str, Slot]:
    """Name in JSON and XML -> slot, those that are attributes left out (`attributes`)."""
    hidden = attributes(node)
    return {
        name: Slot(rank, element.name, type, element.max != 1, element.plain)
        for rank, element in enumerate(tables.node(node))
        for name, type in element.json_names.items()
        if name not in hidden
    }


@functools.cache
def attributes(node: str) -> tuple[str, ...]:
    """The members that XML writes as attributes: `id` of all but resources, `url` of Extension."""
    if node in tables.resource_types():
        return ()
    return ("id", "url") if node == "Extension" else ("id",)
