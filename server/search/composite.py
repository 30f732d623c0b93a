"""composite: components matched within one occurrence, never across (https://hl7.org/fhir/R4/search.html#composite).

A composite has one or several places: the resource itself (`Observation`) or something in it that may occur many times
(`Observation.component`). What the resource has once needs no entries of its own: the components are then ordinary
parameters, ANDed. Of a place that repeats, each component's values are indexed as parts, `Observation.component#code`,
with the number of the occurrence; composites with the same place and component share them.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from server.errors import Invalid
from server.fhirpath.paths import Path, Step, Unsupported, alternatives, compile_paths
from server.keys import LINK, PART, TERM, All, Entry, Link, Span, Term, Test, Text, Together
from server.keys import Any as AnyOf
from server.model import tables
from server.search.kinds import KINDS
from server.search.kinds.kind import Asked, Extract, Kind, Setting, Value, split

_OF_RESOURCE = "%resource."


class Part(NamedTuple):
    """A component at a place. `param`: the index name; `at_resource`: its paths start at the resource."""

    param: str
    kind: str
    paths: tuple[tuple[Path, Extract], ...]
    at_resource: bool


class Place(NamedTuple):
    """Where the components stand. steps (): the resource itself, whose parts are ordinary parameters without paths."""

    name: str
    steps: tuple[str, ...]
    parts: tuple[Part, ...]


@functools.cache
def places(type: str, code: str) -> tuple[Place, ...]:
    """The places of a composite parameter. Raises Unsupported, naming what cannot be indexed."""
    parameter = tables.search_parameters(type)[code]
    return tuple(_place(type, alternative, parameter) for alternative in alternatives(parameter.expression))


def _place(type: str, expression: str, parameter: tables.Parameter) -> Place:
    kinds = [tables.search_parameters(type)[component.code].kind for component in parameter.components]
    if expression == type:
        parts = [
            Part(f"{type}.{_ordinary(type, component.expression, kind)}", kind, (), True)
            for component, kind in zip(parameter.components, kinds, strict=True)
        ]
        return Place(type, (), tuple(parts))
    found = compile_paths(expression, type)
    if len(found) != 1 or any(step.where for step in found[0].steps):
        raise Unsupported(f"{type}: {expression}")
    every = [component.expression for component in parameter.components]
    parts = [
        _part(type, expression, found[0].type, [own, *every], kind) for own, kind in zip(every, kinds, strict=True)
    ]
    return Place(expression, tuple(step.key for step in found[0].steps), tuple(parts))


def _ordinary(type: str, expression: str, kind: str) -> str:
    """The parameter that finds what a component of the resource itself does: the narrowest that holds its paths."""
    wanted = {(path.steps, path.type) for path in _paths(expression, type, KINDS[kind])}
    fitting = []
    for code, parameter in tables.search_parameters(type).items():
        if parameter.kind == kind and parameter.expression:
            has = {(path.steps, path.type) for path in _paths(parameter.expression, type, KINDS[kind])}
            if wanted and wanted <= has and all(_once(type, steps) for steps, _ in has):
                fitting.append((len(has), code))
    if not fitting:
        raise Unsupported(f"{type}: no parameter stands for {expression}")
    return min(fitting)[1]


def _once(node: str, steps: tuple[Step, ...]) -> bool:
    """Whether a path leads to one value at most, its last step apart."""
    for step in steps[:-1]:
        found = next((one for one in tables.node(node) if step.key in one.json_names), None)
        if found is None or found.max != 1 or step.where:
            return False
        node = found.json_names[step.key]
    return True


def _paths(expression: str, node: str, kind: Kind) -> list[Path]:
    try:
        return [path for path in compile_paths(expression, node) if path.type in kind.types]
    except Unsupported:
        return []


def _part(type: str, place: str, node: str, expressions: Sequence[str], kind: str) -> Part:
    """By the component's own expression, or by another's that fits its kind: R4 has the two of
    DocumentReference.relationship exchanged."""
    for expression in expressions:
        at_resource = expression.startswith(_OF_RESOURCE)
        paths = _paths(expression.removeprefix(_OF_RESOURCE), type if at_resource else node, KINDS[kind])
        if paths:
            break
    else:
        raise Unsupported(f"{place}: {expressions[0]}")
    name = "|".join(dict.fromkeys(".".join(step.key for step in path.steps) for path in paths))
    extracts = tuple((path, KINDS[kind].types[path.type]) for path in paths)
    return Part(f"{place}{PART}{name}:{kind}", kind, extracts, at_resource)


# ------------------------------------------------------------------------------------------------------ indexed
def entries(resource: dict[str, Any], setting: Setting) -> list[Entry]:
    """The parts of all occurrences in a resource."""
    found: list[Entry] = []
    for place in _indexed(resource["resourceType"]):
        for number, occurrence in enumerate(_walk([resource], place.steps)):
            for part in place.parts:
                values: list[Value] = []
                for path, extract in part.paths:
                    nodes = _walk([resource if part.at_resource else occurrence], [step.key for step in path.steps])
                    for node in nodes:
                        extract(node, path.value_set, setting, values.append)
                shape = KINDS[part.kind].shape
                shape = TERM if shape == LINK else shape  # a link has no occurrence
                found += [Entry(shape, part.param, *value, rank=number) for value in dict.fromkeys(values)]
    return found


@functools.cache
def _indexed(type: str) -> tuple[Place, ...]:
    """The repeating places of a type with the parts of all its composites, each once."""
    parts: dict[tuple[str, tuple[str, ...]], dict[str, Part]] = {}
    for code, parameter in tables.search_parameters(type).items():
        if parameter.kind == "composite":
            for place in _possible(type, code):
                if place.steps:
                    parts.setdefault((place.name, place.steps), {}).update((one.param, one) for one in place.parts)
    return tuple(Place(name, steps, tuple(found.values())) for (name, steps), found in parts.items())


def _possible(type: str, code: str) -> tuple[Place, ...]:
    try:
        return places(type, code)
    except Unsupported:
        return ()


def why_not(type: str, code: str) -> str:
    """Why a composite cannot be searched for; '' when it can."""
    try:
        places(type, code)
    except Unsupported as error:
        return f"the composite is not supported: {error}"
    return ""


def _walk(nodes: Sequence[Any], keys: Sequence[str]) -> list[Any]:
    for key in keys:
        found = [node.get(key) for node in nodes if node.__class__ is dict]
        nodes = [one for value in found for one in (value if value.__class__ is list else (value,)) if one is not None]
    return list(nodes)


# ------------------------------------------------------------------------------------------------------- asked
def test(type: str, code: str, asked: Asked, setting: Setting) -> Test:
    """`a$b` as a test: at one of the places, all components. Raises Invalid."""
    values = split(asked.value, "$")
    found = places(type, code)
    if len(values) != len(found[0].parts):
        names = "$".join(component.code for component in tables.search_parameters(type)[code].components)
        raise Invalid(f"'{asked.value}' is not a value of '{code}': expected {names}", asked.name)
    tests: list[Test] = []
    for place in found:
        parts = [
            KINDS[part.kind].test(Asked(part.param, asked.name, "", value, ()), setting)
            for part, value in zip(place.parts, values, strict=True)
        ]
        tests.append(Together(tuple(_without_links(part) for part in parts)) if place.steps else All(tuple(parts)))
    return tests[0] if len(tests) == 1 else AnyOf(tuple(tests))


def _without_links(test: Test) -> Test:
    """Links of an occurrence are indexed as terms."""
    if isinstance(test, Link):
        return Term(test.param, test.target)
    if isinstance(test, AnyOf):
        return AnyOf(tuple(_without_links(one) for one in test.tests))
    assert isinstance(test, Term | Text | Span)
    return test
