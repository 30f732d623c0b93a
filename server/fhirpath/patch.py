"""FHIRPath Patch: a Parameters resource whose parameters are operations (https://hl7.org/fhir/R4/fhirpatch.html).

Numbers and members that stay keep their text, as in model/json_patch.py. What is no patch is Invalid; what cannot be
applied to this resource is Unprocessable.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from server.errors import Invalid, TooCostly, Unprocessable
from server.fhirpath.build import Misfit, built
from server.fhirpath.expression import Child, Step, Unreadable, parse
from server.fhirpath.locate import Budget, Pair, Place, TooMany, locate, node_of, pairs, put_pairs
from server.fhirpath.paths import element
from server.model import tables
from server.model.exact import decode, decoded, rejoined
from server.model.raw import members

MIMES = ("application/fhir+json", "application/fhir+xml")
_LOOKS = 10  # places that paths may look at, for each operation that patch_max allows


@dataclass(frozen=True, slots=True)
class Operation:
    """One `parameter`. `name`: the element to add. `value`: the part that holds the value. The rest: list indexes."""

    number: int
    type: str
    text: str
    path: tuple[Step, ...]
    name: str = ""
    value: Any = None
    index: int = 0
    source: int = 0
    destination: int = 0

    @property
    def at(self) -> str:
        return f"Parameters.parameter[{self.number}]"

    def refuse(self, why: str) -> NoReturn:
        raise Unprocessable(f"operation {self.number} ({self.type} {self.text}): {why}", self.at)


_TEXT, _WHOLE = ("valueString", "valueCode"), ("valueInteger", "valueUnsignedInt", "valuePositiveInt")
# part -> the members that its value may stand in; () of `value`, which may be anything
_PARTS = {"type": _TEXT, "path": _TEXT, "name": _TEXT, "value": (), "index": _WHOLE, "source": _WHOLE,
          "destination": _WHOLE}  # fmt: skip
_NEEDED = {
    "add": ("path", "name", "value"),
    "insert": ("path", "index", "value"),
    "delete": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "source", "destination"),
}


# ---------------------------------------------------------------------------------------------------------- reading
def read(raw: bytes, most: int) -> list[Operation]:
    """The operations of a valid Parameters resource, at most `most`. Raises Invalid, TooCostly."""
    listed = decode(raw).get("parameter", [])
    if len(listed) > most:
        raise TooCostly(f"the patch has {len(listed)} operations, {most} is the limit", "Parameters.parameter")
    return [_operation(number, one) for number, one in enumerate(listed)]


def _operation(number: int, one: dict[str, Any]) -> Operation:
    at = f"Parameters.parameter[{number}]"
    if one["name"] != "operation":
        raise Invalid(f"a parameter of a patch is named 'operation', not '{one['name']}'", f"{at}.name")
    given: dict[str, Any] = {}
    for place, part in enumerate(one.get("part", [])):
        name, where = part["name"], f"{at}.part[{place}]"
        if name not in _PARTS:
            raise Invalid(f"an operation has no part '{name}': {', '.join(_PARTS)} are", f"{where}.name")
        if name in given:
            raise Invalid(f"operation {number} has two parts '{name}'", where)
        given[name] = part if name == "value" else _plain(part, name, where)
    type = given.get("type")
    if type not in _NEEDED:
        raise Invalid(f"operation {number}: its type is one of {', '.join(_NEEDED)}", at)
    for name in _NEEDED[type]:
        if name not in given:
            raise Invalid(f"operation {number}: {type} needs a part '{name}'", at, code="required")
    for name in given:
        if name not in ("type", *_NEEDED[type]):
            raise Invalid(f"operation {number}: {type} takes no part '{name}'", at)
    try:
        path = parse(given["path"])
    except Unreadable as why:
        raise Invalid(f"operation {number}: {why}", at) from why
    return Operation(number, text=given.pop("path"), path=path, **given)


def _plain(part: dict[str, Any], name: str, where: str) -> Any:
    """The text or whole number that a part holds."""
    members = _PARTS[name]
    value = next((part[member] for member in members if member in part), None)
    if value is None:
        raise Invalid(f"the part '{name}' is a {members[0]}", where)
    return int(value.text) if members is _WHOLE else value


def resolve_references(operations: list[Operation], resolve: Callable[[str], str | None]) -> None:
    """Rewrites, in place, references in values for which `resolve` has another (urn:uuid of a transaction)."""

    def other(text: Any) -> Any:
        return (resolve(text) or text) if isinstance(text, str) else text

    def walk(value: Any, named: bool = False) -> Any:
        """`named`: the value is that of an element `reference`."""
        if isinstance(value, list):
            return [walk(part) for part in value]
        if not isinstance(value, dict):
            return value
        named = named or value.get("name") == "reference"
        return {
            key: other(part) if key == "reference" or (named and key == "valueString") else walk(part)
            for key, part in value.items()
        }

    for place, operation in enumerate(operations):
        named = Child("reference") in (operation.path[-1:] or ()) and operation.type == "replace"
        named = named or operation.name == "reference"
        operations[place] = replace(operation, value=walk(operation.value, named))


# --------------------------------------------------------------------------------------------------------- applying
def apply(body: bytes, operations: list[Operation], most: int) -> bytes:
    """The patched resource; the operations stay as they are. Raises Unprocessable naming the operation, TooCostly."""
    before = members(body)
    resource, budget = decoded(before), Budget(most * _LOOKS)
    for operation in operations:
        try:
            _OPERATIONS[operation.type](operation, resource, budget)
        except (Unreadable, Misfit) as why:
            operation.refuse(str(why))
        except TooMany as many:
            text = f"operation {operation.number}: the paths look at more places than the limit patch_max allows"
            raise TooCostly(text, operation.at) from many
    return rejoined(before, resource)


def _one(
    operation: Operation, resource: dict[str, Any], budget: Budget, steps: tuple[Step, ...] | None = None
) -> Place:
    """The one place that the path (or these steps of it) selects."""
    found = locate(operation.path if steps is None else steps, resource, budget)
    if len(found) != 1:
        operation.refuse(f"the path selects {len(found) or 'no'} elements, and it has to select one")
    return found[0]


def _add(operation: Operation, resource: dict[str, Any], budget: Budget) -> None:
    place = _one(operation, resource, budget)
    known = element(node_of(place.type), operation.name.removesuffix("[x]"))
    if known is None:
        operation.refuse(f"{place.type} has no element '{operation.name}'")
    key, *pair = built(operation.value, known)
    fields = place.opened()
    present = [name for name in known.json_names if pairs(fields, name)]
    if known.max == 1 and present:
        operation.refuse(f"there is a {present[0]} already: replace it")
    put_pairs(fields, key, [*pairs(fields, key), (pair[0], pair[1])], many=known.max != 1)


def _list(operation: Operation, resource: dict[str, Any], budget: Budget) -> tuple[Place, str, tables.Element]:
    """The list that a path names by its last step: its owner, its name and what it is. It may still be empty."""
    last = operation.path[-1]
    if not isinstance(last, Child) or (len(operation.path) < 2 and last.name in tables.resource_types()):
        operation.refuse("the path has to end in the name of a list")
    owner = _one(operation, resource, budget, operation.path[:-1])
    locate(operation.path, resource, budget)  # it says so when there is no such element
    known = element(node_of(owner.type), last.name)
    if known is None or known.max == 1:
        operation.refuse(f"{last.name} is a single element, not a list")
    return owner, known.name, known


def _insert(operation: Operation, resource: dict[str, Any], budget: Budget) -> None:
    owner, key, known = _list(operation, resource, budget)
    _, value, shadow = built(operation.value, known)
    fields = owner.opened()
    items = pairs(fields, key)
    if not 0 <= operation.index <= len(items):
        operation.refuse(f"the index {operation.index} is past the end of a list of {len(items)}")
    items.insert(operation.index, (value, shadow))
    put_pairs(fields, key, items, many=True)


def _move(operation: Operation, resource: dict[str, Any], budget: Budget) -> None:
    owner, key, _ = _list(operation, resource, budget)
    fields = owner.opened()
    items = pairs(fields, key)
    for index in (operation.source, operation.destination):
        if not 0 <= index < len(items):
            operation.refuse(f"there is no item {index} in a list of {len(items)}")
    items.insert(operation.destination, items.pop(operation.source))
    put_pairs(fields, key, items, many=True)


def _delete(operation: Operation, resource: dict[str, Any], budget: Budget) -> None:
    """Deleting what is not there is done already. An owner that would be left empty goes too: FHIR has no empty
    elements."""
    found = locate(operation.path, resource, budget)
    if len(found) > 1:
        operation.refuse(f"the path selects {len(found)} elements, and only one can be deleted")
    place = found[0] if found else None
    if place is not None and place.owner is None:
        operation.refuse("a patch cannot delete the resource itself")
    while place is not None and place.owner is not None:
        _drop(place)
        place = place.owner
        if place.fields() or (place.primitive and place.pair[0] is not None):
            if place.primitive and place.fields() == {}:
                _set(place, (place.pair[0], None))
            return


def _drop(place: Place) -> None:
    assert place.owner is not None
    fields = place.owner.opened()
    items = pairs(fields, place.key)
    del items[place.index or 0]
    put_pairs(fields, place.key, items, many=place.index is not None)


def _set(place: Place, pair: Pair) -> None:
    assert place.owner is not None
    fields = place.owner.opened()
    items = pairs(fields, place.key)
    items[place.index or 0] = pair
    put_pairs(fields, place.key, items, many=place.index is not None)


def _replace(operation: Operation, resource: dict[str, Any], budget: Budget) -> None:
    place = _one(operation, resource, budget)
    if place.owner is None or place.element is None:
        operation.refuse("a patch cannot replace the resource itself: update it")
    key, value, shadow = built(operation.value, place.element)
    if key == place.key:
        _set(place, (value, shadow))
        return
    fields = place.owner.opened()  # a choice of another type: under another name, at the same place
    old = {f"_{place.key}": f"_{key}", place.key: key}
    content = {old.get(name, name): one for name, one in fields.items()}
    fields.clear()
    fields.update(content)
    put_pairs(fields, key, [(value, shadow)], many=False)


_OPERATIONS: dict[str, Callable[[Operation, dict[str, Any], Budget], None]] = {
    "add": _add, "insert": _insert, "delete": _delete, "replace": _replace, "move": _move,
}  # fmt: skip
