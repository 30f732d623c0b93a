"""`_include` and `_revinclude` as they were asked (https://hl7.org/fhir/R4/search.html#revinclude)."""

from dataclasses import dataclass

from server.errors import Invalid, NotSupported
from server.model import tables
from server.search.index import left_out

ANY = "*"
NAMES = ("_include", "_revinclude")


@dataclass(frozen=True, slots=True)
class Include:
    """`_include=ServiceRequest:subject[:Patient]`: references of `type` by the parameter `code`.

    `*` as type or code: any. target: only references to this type. reverse: from what refers to the resources at hand,
    else to what they refer to. iterate: also for resources that were included.
    """

    type: str
    code: str
    target: str = ""
    reverse: bool = False
    iterate: bool = False


def read(searched: str, name: str, value: str) -> Include:
    """One parameter of a search for `searched`. Raises Invalid or NotSupported, naming the parameter."""
    code, colon, modifier = name.partition(":")
    if colon and modifier != "iterate":
        raise Invalid(f"'{code}' takes the modifier 'iterate', not '{modifier}'", name, code="not-supported")
    reverse, iterate = code == "_revinclude", bool(colon)
    if value == ANY:
        return Include(ANY, ANY, "", reverse, iterate)
    type, _, rest = value.partition(":")
    parameter, _, target = rest.partition(":")
    for one in (type, *([target] if target else [])):
        if one not in tables.resource_types():
            raise Invalid(f"'{one}' is not a resource type", name)
    if not reverse and not iterate and type != searched:
        raise Invalid(f"{name} names '{type}', but the search is for {searched}", name)
    if parameter != ANY:
        _check(type, parameter, searched if reverse and not iterate else target, name)
    return Include(type, parameter, target, reverse, iterate)


def _check(type: str, code: str, target: str, name: str) -> None:
    parameter = tables.search_parameters(type).get(code)
    if parameter is None or parameter.kind != "reference":
        raise Invalid(f"{type} has no reference parameter '{code}' to include by", name)
    if code in left_out(type):
        raise NotSupported(left_out(type)[code], name)
    if target and parameter.targets and target not in parameter.targets:
        raise Invalid(f"'{code}' of {type} never refers to a {target}", name)


def references(type: str) -> dict[str, tuple[str, ...]]:
    """The parameters of a type to include by -> the types that they may point at (none: any)."""
    missing = left_out(type)
    return {
        code: parameter.targets
        for code, parameter in tables.search_parameters(type).items()
        if parameter.kind == "reference" and code not in missing
    }
