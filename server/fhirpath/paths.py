"""The paths of R4 search parameters, compiled statically against the structure tables.

R4's 1,377 expressions have ten shapes: alternatives joined by `|`, each a path whose steps are names,
`.ofType(T)` / `as T`, `.where(name='literal')`, `.where(resolve() is T)` (https://hl7.org/fhir/R4/fhirpath.html).
Compiling resolves every choice element to its JSON names, so that running a path is only a walk over dict keys.
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from server.model import tables

_STEP = re.compile(
    r"\s*\.?\s*(?:(?P<oftype>ofType\((?P<t1>\w+)\)|as\((?P<t2>\w+)\))"
    r"|where\(\s*resolve\(\)\s+is\s+(?P<target>\w+)\s*\)"
    r"|where\(\s*(?P<name>\w+)\s*=\s*'(?P<literal>[^']*)'\s*\)"
    r"|(?P<step>\w+))(?:\s+as\s+(?P<t3>\w+))?"
)


@dataclass(frozen=True, slots=True)
class Step:
    """Go to a JSON member; keep only objects in which `where` = (member, literal)."""

    key: str
    where: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """From a resource to values of one datatype. `target`: only references to this type. `value_set`: of a code."""

    steps: tuple[Step, ...]
    type: str
    target: str = ""
    value_set: str = ""


class Unsupported(Exception):
    """An expression outside the shapes above; it is named, never guessed."""


@functools.cache
def _elements(type: str) -> dict[str, tables.Element]:
    return {found.name: found for found in tables.node(type)} if type in tables.nodes() else {}


def element(type: str, name: str) -> tables.Element | None:
    """The element of a type or backbone node; None when it has none of this name."""
    return _elements(type).get(name)


@dataclass(frozen=True, slots=True)
class _At:
    """A place while compiling: the steps so far and the node or datatype they lead to."""

    steps: tuple[Step, ...]
    type: str
    element: str = ""  # set while a choice element waits for its type
    target: str = ""
    value_set: str = ""


def alternatives(expression: str) -> list[str]:
    """`a | (b as X) | c` -> its parts without the outer parentheses."""
    parts, depth, start = [], 0, 0
    for i, char in enumerate(expression):
        depth += (char == "(") - (char == ")")
        if char == "|" and depth == 0:
            parts.append(expression[start:i])
            start = i + 1
    parts.append(expression[start:])
    return [_unwrap(part.strip()) for part in parts]


def compile_paths(expression: str, resource_type: str) -> list[Path]:
    """All JSON paths of an expression for one resource type. Raises Unsupported, naming the expression."""
    paths: list[Path] = []
    for alternative in alternatives(expression):
        places = [_At((), resource_type)]
        rest = alternative
        if re.match(rf"{resource_type}\b", rest):
            rest = rest[len(resource_type) :]
        while rest.strip():
            found = _STEP.match(rest)
            if not found or not found[0].strip():
                raise Unsupported(f"{resource_type}: {expression}")
            places = [after for place in places for after in _advance(place, found, expression)]
            rest = rest[found.end() :]
        paths += [
            Path(settled.steps, settled.type, settled.target, settled.value_set)
            for place in places
            for settled in _settle(place)
        ]
    return paths


def _unwrap(part: str) -> str:
    while part.startswith("(") and part.endswith(")"):
        part = part[1:-1].strip()
    return part


def _advance(at: _At, found: re.Match[str], expression: str) -> Iterator[_At]:
    wanted = found["t1"] or found["t2"]
    if wanted:
        yield from _of_type(at, wanted)
    elif found["target"]:
        for settled in _settle(at):
            yield _At(settled.steps, settled.type, target=found["target"])
    elif found["name"]:
        if not at.steps:
            raise Unsupported(expression)
        last = Step(at.steps[-1].key, (found["name"], found["literal"]))
        yield _At((*at.steps[:-1], last), at.type, at.element)
    else:
        for settled in _settle(at):
            for next_at in _go(settled, found["step"]):
                yield from _of_type(next_at, found["t3"]) if found["t3"] else (next_at,)


def _of_type(at: _At, wanted: str) -> Iterator[_At]:
    for settled in _settle(at):
        if settled.type == wanted:
            yield settled


def _settle(at: _At) -> Iterator[_At]:
    """A choice element opened into one place for each of its types; any other place as it is."""
    if not at.element:
        yield at
        return
    choice = element(at.type, at.element)
    if choice is None:
        return
    for type in choice.types:
        yield _At((*at.steps, Step(at.element + type[0].upper() + type[1:])), type)


def _go(at: _At, name: str) -> Iterator[_At]:
    found = element(at.type, name)
    if found is None:
        return
    if found.choice:
        yield _At(at.steps, at.type, name)
    else:
        yield _At((*at.steps, Step(name)), found.types[0], value_set=found.value_set)
