"""A SearchParameter resource as search parameters of the types it names (https://hl7.org/fhir/R4/searchparameter.html).

What cannot be indexed is refused here by name, when the resource is written, so that a stored and active one works.
"""

import re
from collections.abc import Mapping
from typing import Any

from server.errors import Unprocessable
from server.fhirpath.paths import Unsupported, alternatives, compile_paths
from server.model import tables
from server.model.tables import Component, Parameter
from server.search import composite
from server.search.kinds import KINDS

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}\Z")
_EXTENSION = re.compile(
    r"\bextension\(\s*('[^']*')\s*\)"
)  # a shorthand: https://hl7.org/fhir/R4/fhirpath.html#functions
_FIRST = re.compile(r"\w+")


def active(resource: Mapping[str, Any]) -> bool:
    return resource.get("status") == "active"


def read(resource: Mapping[str, Any]) -> dict[str, Parameter]:
    """Type -> its parameter, of an active and structurally valid SearchParameter. Raises Unprocessable."""
    code, kind = resource["code"], resource["type"]
    if not _CODE.match(code):
        raise _refused(f"the code '{code}' is not one a search can name: letters, digits, - and _, 64 at most", "code")
    if kind == "special":
        raise _refused("type special: what such a parameter means is not in its definition", "type")
    if kind != "composite" and not resource.get("expression"):
        raise _refused("an active search parameter needs an expression", "expression", code="required")
    if kind == "composite" and len(resource.get("component", ())) < 2:
        raise _refused("a composite needs two components at least", "component", code="required")
    for number, target in enumerate(resource.get("target", ())):
        if target not in tables.resource_types():
            raise _refused(f"'{target}' is not a resource type", f"target[{number}]")
    found = {}
    for number, type in enumerate(resource["base"]):
        if type not in tables.resource_types():
            raise _refused(f"the base '{type}' is not supported: name the resource types", f"base[{number}]")
        if code in tables.search_parameters(type):
            url = tables.search_parameters(type)[code].url
            raise _refused(f"{type} has the search parameter '{code}' already: {url}", "code", code="duplicate")
        found[type] = _of_type(resource, type)
    return found


def _of_type(resource: Mapping[str, Any], type: str) -> Parameter:
    code, kind = resource["code"], resource["type"]
    if kind == "composite":
        parameter = Parameter(code, kind, _own(resource, type), (), resource["url"], _components(resource, type))
        why_not = composite.why_not(type, code, {type: (parameter,)})
        if why_not:
            raise _refused(why_not, "expression")
        return parameter
    expression = _own(resource, type)
    for one in alternatives(expression):
        _check(type, one, kind)
    return Parameter(code, kind, expression, tuple(resource.get("target", ())), resource["url"])


def _own(resource: Mapping[str, Any], type: str) -> str:
    """The alternatives of the expression that begin with the type. Raises Unprocessable for one of no base."""
    bases, own = resource["base"], []
    for one in alternatives(_EXTENSION.sub(r"extension.where(url=\1)", resource.get("expression", type))):
        first = _FIRST.match(one.lstrip("( "))
        if first is None or first[0] not in bases:
            raise _refused(f"'{one}' does not begin with a type of base ({', '.join(bases)})", "expression")
        if first[0] == type:
            own.append(one)
    if not own:
        raise _refused(f"the expression says nothing of {type}, which base names", "expression")
    return " | ".join(own)


def _check(type: str, expression: str, kind: str) -> None:
    try:
        paths = compile_paths(expression, type)
    except Unsupported as error:
        raise _refused(
            f"'{expression}' is not supported: an expression is a path of names, extension('url'), "
            ".where(name='text'), .where(resolve() is Type) and .ofType(Type) or `as Type`, | between alternatives",
            "expression",
            code="not-supported",
        ) from error
    if not paths or not any(path.steps for path in paths):
        raise _refused(f"'{expression}' leads to no element of {type}", "expression")
    if not any(path.type in KINDS[kind].types for path in paths):
        types = ", ".join(sorted({path.type for path in paths}))
        raise _refused(f"'{expression}' leads to {types}, which is not searched as {kind}", "expression")


def _components(resource: Mapping[str, Any], type: str) -> tuple[Component, ...]:
    urls = {one.url: one.code for one in tables.search_parameters(type).values() if one.kind in KINDS}
    found = []
    for number, one in enumerate(resource["component"]):
        code = urls.get(one["definition"].partition("|")[0])
        if code is None:
            what = f"'{one['definition']}' is not a search parameter of {type} that R4 defines"
            raise _refused(what, f"component[{number}].definition")
        found.append(Component(code, one["expression"]))
    return tuple(found)


def _refused(what: str, at: str, code: str = "") -> Unprocessable:
    return Unprocessable(what, f"SearchParameter.{at}", code=code)
