"""The expected list: every resource type, search parameter and datatype of R4 and our own, made from the definitions,
with a resource that has a value there, one that has another, and the search that tells them apart; or the reason why
there is none. `python -m tests.knowledge.expected_list` writes docs/search-parameters.csv anew.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from server.fhirpath.paths import Path as Route
from server.fhirpath.paths import Step, compile_paths
from server.model import tables
from server.search import composite
from server.search.index import left_out
from server.search.inner import FIRST
from server.search.kinds import KINDS
from tests.instances import minimal, put_at
from tests.knowledge.expected_values import VALUES, Value

FILE = Path(__file__).parents[2] / "docs" / "search-parameters.csv"
Resource = dict[str, Any]
NO_VALUE = {
    ("date", "string"): "a text is no date",
    ("date", "Age"): "an age is no date: it counts from a birth",
    ("date", "Range"): "a range of ages is no date",
    ("reference", "Attachment"): "an attachment is no reference to a resource",
}
"""Datatypes at the place of a parameter that its kind cannot compare, and why (search.html#ptypes)."""


class Row(NamedTuple):
    """One line of the list. reason: '' when it is searched."""

    type: str
    code: str
    kind: str
    datatype: str
    reason: str = ""

    @property
    def state(self) -> str:
        return "listed" if self.reason else "searched"


class Case(NamedTuple):
    """`there` is found by `code=asked` and `other` is not. asked '': by the time of the write (_lastUpdated)."""

    row: Row
    there: Resource
    other: Resource
    asked: str


def rows() -> list[Row]:
    return [row for type in sorted(tables.resource_types()) for row in rows_of(type)]


def rows_of(type: str) -> list[Row]:
    """In the order of codes; several places of one datatype are one row."""
    found: dict[Row, None] = {}
    for code, parameter in sorted(tables.search_parameters(type).items()):
        why = left_out(type).get(code, "")
        if why or parameter.kind == "composite" or _apart(type, parameter):
            found[Row(type, code, parameter.kind, "", why)] = None
            continue
        for route in compile_paths(parameter.expression, type):
            fits = route.type in KINDS[parameter.kind].types
            found[Row(type, code, parameter.kind, route.type, "" if fits else _why(parameter.kind, route.type))] = None
    return list(found)


def _why(kind: str, datatype: str) -> str:
    return NO_VALUE.get((kind, datatype), "UNEXPLAINED")


def _apart(type: str, parameter: tables.Parameter) -> bool:
    return (
        not parameter.expression
        or (type, parameter.code) in _BY_HAND
        or (type == "Bundle" and parameter.code in FIRST)
    )  # fmt: skip


def cases(type: str) -> list[Case]:
    """The searched rows of a type, each place of a row by itself; the values of one type are all different."""
    found: list[tuple[Row, Resource, Resource, str]] = []
    number = 0
    for row in rows_of(type):
        if not row.reason:
            for pair in _pairs(row, number):
                found.append((row, *pair))
                number += 2
    return _shared(type, found)


def _shared(type: str, found: list[tuple[Row, Resource, Resource, str]]) -> list[Case]:
    """Cases that are about different elements and parameters share their two resources: writing is what takes time."""
    groups: list[tuple[set[str], list[tuple[Row, Resource, Resource, str]]]] = []
    for case in found:
        touched = {f"?{case[0].code}", *_touched(type, case[1]), *_touched(type, case[2])}
        for taken, members in groups:
            if not taken & touched:
                taken |= touched
                members.append(case)
                break
        else:
            groups.append((touched, [case]))
    cases: list[Case] = []
    for n, (_, members) in enumerate(groups):
        there = {**_joined(type, [case[1] for case in members]), "id": f"a{n}"}
        other = {**_joined(type, [case[2] for case in members]), "id": f"b{n}"}
        cases += [Case(row, there, other, asked or f"a{n}") for row, _, _, asked in members]
    return cases


def _touched(type: str, resource: Resource) -> set[str]:
    """The elements in which it differs from the minimal resource; of `meta`, which all share, the members."""
    plain, names = minimal(type), _element_names(type)
    differ = {key for key in {*resource, *plain} if resource.get(key) != plain.get(key)}
    return {names[key] for key in differ - {"meta"}} | {f"meta.{key}" for key in resource.get("meta", ())}


def _joined(type: str, resources: list[Resource]) -> Resource:
    whole, names = minimal(type), _element_names(type)
    for resource in resources:
        touched = _touched(type, resource)
        whole = {key: value for key, value in whole.items() if names.get(key) not in touched}
        whole.update({key: value for key, value in resource.items() if names.get(key) in touched})
        if "meta" in resource:
            whole["meta"] = {**whole.get("meta", {}), **resource["meta"]}
    return whole


def _element_names(type: str) -> dict[str, str]:
    """JSON name -> element: one for all names of a choice."""
    return {name: element.name for element in tables.node(type) for name in element.json_names}


def _pairs(row: Row, number: int) -> Iterator[tuple[Resource, Resource, str]]:
    parameter = tables.search_parameters(row.type)[row.code]
    if row.code in ("_id", "_lastUpdated"):
        yield minimal(row.type), minimal(row.type), ""
    elif row.code in _ON_ALL:
        yield _ON_ALL[row.code](row.type, number), _ON_ALL[row.code](row.type, number + 1), f"word{number}"
    elif (row.type, row.code) in _BY_HAND:
        yield _BY_HAND[row.type, row.code]
    elif row.code == "pinyin":
        yield _named(row.type, "王", "小明"), _named(row.type, "李", "大为"), "wangxiaoming"
    elif row.kind == "composite":
        yield from _composites(row.type, row.code, number)
    else:
        for route in compile_paths(parameter.expression, row.type):
            if route.type == row.datatype:
                yield _pair(row, route, number)
                number += 2


def _pair(row: Row, route: Route, number: int) -> tuple[Resource, Resource, str]:
    here, there = (_value(row.type, row.kind, route, number + n) for n in (0, 1))
    return _with(row.type, route.steps, here), _with(row.type, route.steps, there), here.asked


def _value(type: str, kind: str, route: Route, number: int, node: str = "") -> Value:
    return VALUES[kind][route.type](number, route.target, tables_element(node or type, route.steps))


def _with(type: str, steps: tuple[Step, ...], value: Value) -> Resource:
    resource = minimal(type)
    put_at(resource, type, steps, value.json)
    return resource


def tables_element(node: str, steps: tuple[Step, ...]) -> tables.Element:
    """The element that the last step goes to."""
    for step in steps:
        element = next(one for one in tables.node(node) if step.key in one.json_names)
        node = element.json_names[step.key]
    return element


# ------------------------------------------------------------------------------------------------------ composites
def _composites(type: str, code: str, number: int) -> Iterator[tuple[Resource, Resource, str]]:
    """Of each place, each datatype of a component once. `other` has all values too, but the last in another place: of
    places that repeat in another occurrence."""
    parameter = tables.search_parameters(type)[code]
    for place in composite.places(type, code):
        options: list[list[tuple[str, Route, bool]]] = []
        for part, component in zip(place.parts, parameter.components, strict=True):
            paths = [path for path, _ in part.paths] or compile_paths(component.expression, type)
            options.append(
                [(part.kind, path, part.at_resource) for path in paths if path.type in KINDS[part.kind].types]
            )
        for turn in range(max(map(len, options))):
            chosen = [option[turn % len(option)] for option in options]
            yield _composed(type, place.steps, chosen, number)
            number += 2


def _composed(
    type: str, keys: tuple[str, ...], chosen: list[tuple[str, Route, bool]], number: int
) -> tuple[Resource, Resource, str]:
    place = tuple(Step(key) for key in keys)
    there, other, asked = minimal(type), minimal(type), list[str]()
    for n, (kind, route, at_resource) in enumerate(chosen):
        steps = route.steps if at_resource else (*place, *route.steps)
        full = Route(steps, route.type, route.target, route.value_set)
        here, away = (_value(type, kind, full, number + 100 * n + m) for m in (0, 1))
        put_at(there, type, steps, here.json)
        put_at(other, type, steps, away.json if n == len(chosen) - 1 else here.json)
        asked.append(here.asked)
    return there, other, "$".join(asked)


# ----------------------------------------------------------------------------------------- those that are no path
def _narrated(type: str, number: int) -> Resource:
    text = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">word{number}</div>'}
    return {**minimal(type), "text": text}


def _displayed(type: str, number: int) -> Resource:
    return {**minimal(type), "meta": {"tag": [{"code": "x", "display": f"word{number}"}]}}


_ON_ALL = {"_text": _narrated, "_content": _displayed}


def _named(type: str, family: str, given: str) -> Resource:
    name = {"family": family, "given": [given]}
    return {**minimal(type), "name": name if tables_element(type, (Step("name"),)).max == 1 else [name]}


def _bundle(kind: str, first: str, id: str) -> Resource:
    return {"resourceType": "Bundle", "type": kind, "entry": [{"resource": {**minimal(first), "id": id}}]}


_BY_HAND = {
    ("Patient", "deceased"): (
        {"resourceType": "Patient", "deceasedBoolean": True},
        {"resourceType": "Patient", "deceasedBoolean": False},
        "true",
    ),
    **{
        ("Bundle", code): (_bundle(*first, "one"), _bundle(*first, "two"), f"{first.type}/one")
        for code, first in FIRST.items()
    },
}


# ---------------------------------------------------------------------------------------------------------- the file
def text() -> str:
    written = io.StringIO()
    out = csv.writer(written, lineterminator="\n")
    out.writerow(("type", "code", "kind", "datatype", "state", "reason"))
    out.writerows((row.type, row.code, row.kind, row.datatype, row.state, row.reason) for row in rows())
    return written.getvalue()


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
