"""The smallest valid instance of every type, made from the tables: required elements only, values invented."""

from collections.abc import Sequence
from typing import Any

from server.fhirpath.paths import Path, Step
from server.model import tables

VALUES: dict[str, Any] = {
    "string": "x", "markdown": "x", "boolean": True, "integer": 1, "unsignedInt": 1, "positiveInt": 1, "decimal": 1.5,
    "uri": "urn:x", "url": "http://example.org/x", "canonical": "http://example.org/x", "oid": "urn:oid:1.2",
    "uuid": "urn:uuid:8d2ae2a4-4d5c-4a3c-9fd3-4e6a3a1b9f10", "code": "x", "id": "x", "date": "2024-05-01",
    "dateTime": "2024-05-01T08:00:00+08:00", "instant": "2024-05-01T08:00:00.000+08:00", "time": "08:00:00",
    "base64Binary": "eA==", "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>',
}  # fmt: skip
_BY_RULE = {"mimetypes": "text/plain", "currencies": "CNY", "ucum": "mg", "unknown": "x"}


def minimal(type: str) -> dict[str, Any]:
    """A resource of a concrete type."""
    return {"resourceType": type, **members_of(type)}


def members_of(path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for element in tables.node(path):
        if element.min:
            name, type = next(iter(element.json_names.items()))
            value = _value(element, type)
            found[name] = [value] * element.min if element.max != 1 else value
    return found


def _value(element: tables.Element, type: str) -> Any:
    if type == "Reference":
        return {"reference": f"{element.targets[0] if element.targets else 'Basic'}/x"}
    if type == "Resource":
        return minimal("Basic")
    if element.value_set:
        return _bound(type, tables.value_set(element.value_set))
    if type in VALUES:
        return VALUES[type]
    return members_of(type) or {"extension": [{"url": "urn:x", "valueCode": "x"}]}


def _bound(type: str, values: tables.ValueSet) -> Any:
    system, code = next(((s, sorted(codes)[0]) for s, codes in values.systems.items() if codes), ("", ""))
    code = _BY_RULE[values.rule] if values.rule else code
    if type == "code":
        return code
    coding = {"code": code, **({"system": system} if system else {})}
    return coding if type == "Coding" else {"coding": [coding]}


def referring(type: str, path: Path, reference: str) -> dict[str, Any]:
    """A minimal resource of the type that has this reference at a path (of a search parameter)."""
    resource = minimal(type)
    put_at(resource, type, path.steps, {"reference": reference})
    return resource


def put_at(resource: dict[str, Any], type: str, steps: Sequence[Step], value: Any) -> None:
    """Puts a value into a resource at the end of the steps; what the way there needs and has not is made, minimal."""
    place, node = resource, type
    for number, step in enumerate(steps, start=1):
        element = next(one for one in tables.node(node) if step.key in one.json_names)
        node = element.json_names[step.key]
        there = value if number == len(steps) else place.get(step.key) or members_of(node)
        there = there[0] if isinstance(there, list) else there
        if step.where:
            there = {**there, step.where[0]: step.where[1]}
        for name in element.json_names:  # of a choice only one may be there
            place.pop(name, None)
        place[step.key] = there if element.max == 1 else [there]
        place = there
