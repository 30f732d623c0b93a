"""A resource's index entries: every search parameter of its type, extracted in one walk.

The paths of all parameters of a type are merged into one tree of member names on first use, so a common prefix is
walked once. A parameter that cannot be indexed yet is listed with its reason in `left_out`.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from server.fhirpath.paths import Unsupported, compile_paths
from server.keys import LINK, TERM, Entry
from server.model import tables
from server.search.kinds import KINDS
from server.search.kinds.kind import Extract, Setting, Value


class _Leaf(NamedTuple):
    """What to do with the values at the end of a path."""

    param: str
    shape: str
    extract: Extract
    value_set: str
    target: str  # only references to this type


class _Branch:
    """A member of the resource tree: values found there, and what lies below."""

    __slots__ = ("key", "leaves", "next", "where")

    def __init__(self, key: str, where: tuple[str, str] | None) -> None:
        self.key, self.where = key, where
        self.leaves: list[_Leaf] = []
        self.next: list[_Branch] = []

    def below(self, key: str, where: tuple[str, str] | None) -> "_Branch":
        for branch in self.next:
            if branch.key == key and branch.where == where:
                return branch
        branch = _Branch(key, where)
        self.next.append(branch)
        return branch


def index(resource: dict[str, Any], setting: Setting) -> tuple[Entry, ...]:
    """All entries of a valid resource, each once, ranks set (keys.Entry)."""
    type, found = resource["resourceType"], dict[tuple[str, str], dict[Value, None]]()
    _walk(_tree(type), resource, setting, found)
    entries = [Entry(TERM, f"{type}.{code}", compute(resource)) for code, compute in _COMPUTED.get(type, ())]
    for (param, shape), values in found.items():
        if len(values) == 1 or shape == LINK:
            entries += [Entry(shape, param, *value) for value in values]
        else:
            entries += _ranked(shape, param, list(values))
    return tuple(entries)


def left_out(type: str) -> dict[str, str]:
    """Parameters of a type that are not indexed: code -> why."""
    return _compiled(type)[1]


def _ranked(shape: str, param: str, values: list[Value]) -> Iterator[Entry]:
    """Several values: the smallest gets rank 1, the largest 2, those between 3 (a span's place is its low end)."""
    ordered = sorted(values, key=lambda value: (value.low, value.key))
    last = len(ordered) - 1
    for i, value in enumerate(ordered):
        yield Entry(shape, param, *value, rank=1 if i == 0 else 2 if i == last else 3)


def _walk(branch: _Branch, node: Any, setting: Setting, found: dict[tuple[str, str], dict[Value, None]]) -> None:
    for child in branch.next:
        value = node.get(child.key)
        if value is None:
            continue
        for item in value if value.__class__ is list else (value,):
            if item is None or (child.where and item.get(child.where[0]) != child.where[1]):
                continue
            for leaf in child.leaves:
                if leaf.target and not _points_at(item, leaf.target):
                    continue
                values = found.setdefault((leaf.param, leaf.shape), {})
                for entry in leaf.extract(item, leaf.value_set, setting):
                    values[entry] = None
            if child.next:
                _walk(child, item, setting, found)


def _points_at(reference: Any, type: str) -> bool:
    """`resolve() is T` without resolving: by the reference's text or its `type`."""
    text = reference.get("reference") or ""
    return f"/{type}/" in f"/{text}" or reference.get("type") == type


def _tree(type: str) -> _Branch:
    return _compiled(type)[0]


@functools.cache
def _compiled(type: str) -> tuple[_Branch, dict[str, str]]:
    root, missing = _Branch("", None), {}
    for parameter in tables.search_parameters(type).values():
        kind = KINDS.get(parameter.kind)
        if parameter.code in ("_id", "_lastUpdated") or parameter.code in dict(_COMPUTED.get(type, ())):
            continue  # a store knows the first two by itself
        if not parameter.expression:
            missing[parameter.code] = f"{parameter.code} is not supported yet"
            continue
        if kind is None:
            missing[parameter.code] = f"search by {parameter.kind} is not supported yet"
            continue
        try:
            paths = compile_paths(parameter.expression, type)
        except Unsupported:
            paths = []
        usable = [path for path in paths if path.type in kind.types]
        if not usable:
            missing[parameter.code] = f"the expression '{parameter.expression}' is not supported"
        for path in usable:
            branch = root
            for step in path.steps:
                branch = branch.below(step.key, step.where)
            branch.leaves.append(
                _Leaf(f"{type}.{parameter.code}", kind.shape, kind.types[path.type], path.value_set, path.target)
            )
    return root, missing


def _deceased(patient: dict[str, Any]) -> str:
    """`Patient.deceased.exists() and Patient.deceased != false`, the one R4 expression that is not a path."""
    return "true" if patient.get("deceasedDateTime") or patient.get("deceasedBoolean") else "false"


_COMPUTED: dict[str, tuple[tuple[str, Callable[[dict[str, Any]], str]], ...]] = {"Patient": (("deceased", _deceased),)}
"""Token parameters that are computed from the whole resource: type -> (code, function)."""
