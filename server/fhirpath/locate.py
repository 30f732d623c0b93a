"""Where the steps of a path lead in a resource: the places, each with its owner, so that it can be changed there.

A resource is a dict as JSON has it (model/exact.py). The element tables say what a name means: a choice stands under
the name with its type, id and extension of a primitive under `_name` (https://hl7.org/fhir/R4/json.html#primitive).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from server.fhirpath.expression import Child, Compared, Criteria, Index, Literal, OfType, Step, Unreadable, Where
from server.fhirpath.paths import element
from server.model import tables
from server.model.exact import Number

_ROOTS = ("Resource", "DomainResource")
Pair = tuple[Any, Any]
"""What JSON says of one element: its value, and what stands under `_name` (None: nothing)."""


class TooMany(Exception):
    """More places were looked at than the limit allows."""


@dataclass(slots=True)
class Budget:
    """Places that may still be looked at."""

    left: int

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise TooMany


@dataclass(frozen=True, slots=True)
class Place:
    """One element. `index`: in its list. `type`: a type name or the path of its node. The root has no owner and no key;
    `root` is the whole resource."""

    root: dict[str, Any]
    type: str
    owner: "Place | None" = None
    element: tables.Element | None = None
    key: str = ""
    index: int | None = None

    @property
    def primitive(self) -> bool:
        return self.type in tables.primitives()

    @property
    def pair(self) -> Pair:
        if self.owner is None:
            return self.root, None
        return pairs(self.owner.fields() or {}, self.key)[self.index or 0]

    def fields(self) -> dict[str, Any] | None:
        """The object with its children; None for a primitive that has neither id nor extension."""
        value, shadow = self.pair
        found = shadow if self.primitive else value
        return found if isinstance(found, dict) else None

    def opened(self) -> dict[str, Any]:
        """Like fields; made if it is not there."""
        found = self.fields()
        if found is None:
            assert self.owner is not None
            found, owner = {}, self.owner.opened()
            items = pairs(owner, self.key)
            items[self.index or 0] = (items[self.index or 0][0], found)
            put_pairs(owner, self.key, items, many=self.index is not None)
        return found


def pairs(fields: dict[str, Any], key: str) -> list[Pair]:
    """The values under a name, in step with what stands under `_name`; a single element is a list of one."""
    values, shadows = fields.get(key), fields.get(f"_{key}")
    if not isinstance(values, list) and not isinstance(shadows, list):
        return [] if values is None and shadows is None else [(values, shadows)]
    values = values if isinstance(values, list) else []
    shadows = shadows if isinstance(shadows, list) else []
    length = max(len(values), len(shadows))
    padded = ([*one, *[None] * (length - len(one))] for one in (values, shadows))
    return list(zip(*padded, strict=True))


def put_pairs(fields: dict[str, Any], key: str, items: Sequence[Pair], *, many: bool) -> None:
    """The way back; a name that would hold nothing goes."""
    for name, found in ((key, [value for value, _ in items]), (f"_{key}", [shadow for _, shadow in items])):
        if all(one is None for one in found):
            fields.pop(name, None)
        else:
            fields[name] = found if many else found[0]


def locate(steps: Sequence[Step], resource: dict[str, Any], budget: Budget) -> list[Place]:
    """The places that a path leads to. Raises Unreadable for a name that the types do not have, TooMany."""
    type = resource["resourceType"]
    steps = _within(steps, type)
    _check(steps, {type})
    return _walk([Place(resource, type)], steps, budget)


def _within(steps: Sequence[Step], type: str) -> Sequence[Step]:
    """Without the name of the resource type that a path may begin with."""
    first = steps[0] if steps else None
    if not isinstance(first, Child) or not (first.name in tables.resource_types() or first.name in _ROOTS):
        return steps
    if first.name not in (type, *_ROOTS):
        raise Unreadable(f"the path is one of {first.name}, but the resource is a {type}")
    return steps[1:]


# ------------------------------------------------------------------------------------------------- what names mean
def node_of(type: str) -> str:
    """The node whose elements may stand in a type: of a primitive that of id and extension."""
    return "Element" if type in tables.primitives() else type


def _check(steps: Sequence[Step], types: set[str]) -> None:
    """Every name must be one that the types have, whether the resource holds it or not. `Resource` may have any."""
    for step in steps:
        if "Resource" in types:
            return
        if isinstance(step, Child):
            found = [known for type in types if (known := element(node_of(type), step.name))]
            if not found:
                raise Unreadable(f"{' or '.join(sorted(types))} has no element '{step.name}'{_hint(types, step.name)}")
            types = {type for known in found for type in known.types}
        elif isinstance(step, OfType):
            if step.type not in types:
                raise Unreadable(f"no {step.type} can stand here: {', '.join(sorted(types)[:8])} can")
            types = {step.type}
        elif isinstance(step, Where):
            for one in _comparisons(step.criteria):
                _check(one.steps, types)


def _hint(types: set[str], name: str) -> str:
    """For who writes `valueQuantity`, as JSON does."""
    for type in types:
        for known in tables.node(node_of(type)) if node_of(type) in tables.nodes() else ():
            if known.choice and name in known.json_names:
                return f"; FHIRPath says {known.name}.ofType({known.json_names[name]})"
    return ""


def _comparisons(criteria: Criteria) -> Iterator[Compared]:
    if isinstance(criteria, Compared):
        yield criteria
    else:
        for part in criteria.parts:
            yield from _comparisons(part)


# ---------------------------------------------------------------------------------------------------------- walking
def _walk(places: list[Place], steps: Sequence[Step], budget: Budget) -> list[Place]:
    for step in steps:
        if isinstance(step, Child):
            places = [child for place in places for child in _children(place, step.name, budget)]
        elif isinstance(step, Index):
            places = places[step.place :][:1] if step.place >= 0 else places[-1:]
        elif isinstance(step, OfType):
            places = [place for place in places if place.type == step.type]
        elif isinstance(step, Where):
            places = [place for place in places if _holds(step.criteria, place, budget)]
    return places


def _children(place: Place, name: str, budget: Budget) -> Iterator[Place]:
    fields, known = place.fields(), element(node_of(place.type), name)
    if fields is None or known is None:
        return
    for key, type in known.json_names.items():
        if key not in fields and f"_{key}" not in fields:
            continue
        for index, (value, _) in enumerate(pairs(fields, key)):
            budget.spend()
            named = value.get("resourceType", type) if type == "Resource" and isinstance(value, dict) else type
            yield Place(place.root, named, place, known, key, None if known.max == 1 else index)


def _holds(criteria: Criteria, place: Place, budget: Budget) -> bool:
    budget.spend()
    if not isinstance(criteria, Compared):
        results = (_holds(part, place, budget) for part in criteria.parts)
        return all(results) if criteria.operator == "and" else any(results)
    found = _walk([place], criteria.steps, budget)
    if criteria.operator == "exists":
        return bool(found)
    if not found:
        return False  # FHIRPath: empty, which keeps nothing
    equal = len(found) == 1 and _equal(found[0].pair[0], criteria.literal)
    return equal == (criteria.operator == "=")


def _equal(value: Any, literal: Literal) -> bool:
    if isinstance(value, Number):
        return value.value == literal and not isinstance(literal, bool)
    return type(value) is type(literal) and value == literal
