"""Criteria that follow references: chains and `_has`, to any depth and in any mixture, and `_list`
(https://hl7.org/fhir/R4/search.html#chaining, #has, #list).

A name is read from its front: `subject:Patient.organization.name` goes forwards, `_has:Observation:patient:code`
backwards, and what is left is a name on the type arrived at. The last part is an ordinary criterion.
"""

from collections.abc import Callable
from dataclasses import dataclass

from server.errors import Invalid, NotSupported, TooCostly
from server.keys import Any, Backlinked, Ids, Linked, Test
from server.model import tables
from server.search import inner
from server.search.index import left_out
from server.search.kinds.kind import split, unescape

HAS = "_has"
DEEPEST = 16  # references that one criterion may follow, one after the other
WIDEST = 64  # and in all, when a parameter may refer to several types
ON_ALL = frozenset(
    {"_id", "_lastUpdated", "_list", "_text", "_content", HAS}
)  # what may end or go on a chain on every type

Leaf = Callable[[str, str], Test]
"""(type, `code:modifier`) -> the last criterion of a chain, with the value that was asked for."""


class Unknown(Exception):
    """No such parameter; the sentence says where."""


@dataclass(slots=True)
class Asked:
    """A criterion that follows references; `name` is as the client wrote it, for messages."""

    name: str
    leaf: Leaf
    followed: int = 0  # references so far


def is_chain(name: str) -> bool:
    return "." in name or name.partition(":")[0] == HAS


def read(type: str, name: str, leaf: Leaf) -> Test:
    """Raises Unknown for a parameter that a type on the way does not have, Invalid and NotSupported naming `name`."""
    return _read(type, name, Asked(name, leaf), 0)


def in_lists(name: str, value: str) -> Test:
    """`_list=a,b`: entries of the Lists with these ids."""
    ids = tuple(unescape(part).removeprefix("List/") for part in split(value, ","))
    for id in ids:
        if id.startswith("$"):
            raise NotSupported(f"the functional list '{id}' is not supported", name)
    return Backlinked("List", "List.item", Ids(ids))


def _read(type: str, name: str, asked: Asked, depth: int) -> Test:
    if not is_chain(name):
        if not _has_parameter(type, name):
            raise Unknown(f"{type} has no search parameter '{name}'")
        return asked.leaf(type, name)
    if depth == DEEPEST:
        raise TooCostly(f"'{asked.name}' follows more than {DEEPEST} references", asked.name)
    if name.partition(":")[0] == HAS:
        return _backwards(type, name, asked, depth)
    step, _, rest = name.partition(".")
    code, _, wanted = step.partition(":")
    if type == "Bundle" and code in inner.FIRST:
        return _within(code, wanted, rest, asked, depth)
    targets = _targets(type, code, wanted, rest, asked)
    tests, unknown = [], []
    for target in targets:
        asked.followed += 1
        if asked.followed > WIDEST:
            raise TooCostly(
                f"'{asked.name}' may refer to more than {WIDEST} types in all: name them, as in {code}:{target}.{rest}",
                asked.name,
            )
        try:
            tests.append(Linked(f"{type}.{code}", target, _read(target, rest, asked, depth + 1)))
        except Unknown as one:
            unknown.append(one)
    if not tests:
        if len(unknown) == 1:
            raise unknown[0]
        raise Unknown(f"no type that '{code}' of {type} refers to ({', '.join(targets)}) can be asked for '{rest}'")
    return tests[0] if len(tests) == 1 else Any(tuple(tests))


def _targets(type: str, code: str, wanted: str, rest: str, asked: Asked) -> tuple[str, ...]:
    """The types to go on with."""
    targets = _reference(type, code, asked)
    if wanted:
        _check_type(wanted, asked)
        if targets and wanted not in targets:
            raise Invalid(f"'{code}' of {type} never refers to a {wanted}", asked.name)
        return (wanted,)
    if not targets:
        raise Invalid(f"'{code}' of {type} may refer to any type: name one, as in {code}:Patient.{rest}", asked.name)
    return targets


def _backwards(type: str, name: str, asked: Asked, depth: int) -> Test:
    parts = name.split(":", 3)
    if len(parts) < 4 or not all(parts):
        raise Invalid(f"'{name}' is not of the form _has:<type>:<reference parameter>:<parameter>", asked.name)
    _, source, code, rest = parts
    _check_type(source, asked)
    targets = _reference(source, code, asked)
    if targets and type not in targets:
        raise Invalid(f"'{code}' of {source} never refers to a {type}", asked.name)
    return Backlinked(source, f"{source}.{code}", _read(source, rest, asked, depth + 1))


def _within(code: str, wanted: str, rest: str, asked: Asked, depth: int) -> Test:
    """`Bundle?composition.…`: the first resource of the Bundle, which is indexed with it."""
    type = inner.FIRST[code].type
    if wanted not in ("", type):
        raise Invalid(f"'{code}' of Bundle is always a {type}, not a {wanted}", asked.name)
    return inner.asked(_read(type, rest, asked, depth + 1), code, asked.name)


def _reference(type: str, code: str, asked: Asked) -> tuple[str, ...]:
    """The types that a reference parameter may point at; none: any."""
    parameter = tables.search_parameters(type).get(code)
    if parameter is None:
        raise Unknown(f"{type} has no search parameter '{code}'")
    if parameter.kind != "reference":
        raise Unknown(f"'{code}' of {type} is a {parameter.kind}: only references can be followed")
    if code in left_out(type):
        raise NotSupported(left_out(type)[code], asked.name)
    return parameter.targets


def _check_type(type: str, asked: Asked) -> None:
    if type not in tables.resource_types():
        raise Invalid(f"'{type}' is not a resource type", asked.name)


def _has_parameter(type: str, name: str) -> bool:
    code = name.partition(":")[0]
    return code in ON_ALL or code in tables.search_parameters(type)
