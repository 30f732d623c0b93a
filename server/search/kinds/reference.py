"""reference: to a resource of this server, another server's, or a canonical
(https://hl7.org/fhir/R4/search.html#reference)."""

import functools
import re
from dataclasses import replace
from typing import Any

from server.errors import Invalid
from server.keys import LINK, TERM, Link, Test
from server.keys import Any as AnyOf
from server.model import tables
from server.search.kinds.kind import Add, Asked, Facet, Kind, Setting, unescape
from server.search.kinds.token import TOKEN

_RESTFUL = re.compile(
    r"(?:(?P<base>[a-z][a-z0-9+.-]*:.*)/)?(?P<type>[A-Z]\w+)/(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?"
)
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@functools.lru_cache(16_384)
def target(reference: str, base: str) -> str:
    """What a reference points at: `Type/id` when it is ours (version dropped), else the URL as written; '' for `#x`."""
    if reference.startswith("#"):
        return ""
    found = _RESTFUL.fullmatch(reference)
    if found and found["type"] in tables.resource_types() and found["base"] in (None, base):
        return f"{found['type']}/{found['id']}"
    return reference


def _reference(value: Any, _: str, setting: Setting, add: Add) -> None:
    reference = value.get("reference")
    to = target(reference, setting.base) if reference else ""
    if to:
        add((to, "", 0, 0))


def _canonical(value: Any, _: str, setting: Setting, add: Add) -> None:
    to = target(value, setting.base)
    if to:
        add((to, "", 0, 0))
        if "|" in to:  # a canonical is found with and without its version
            add((to.split("|", 1)[0], "", 0, 0))


def _identifier(value: Any, _: str, __: Setting, add: Add) -> None:
    identifier = value.get("identifier") or {}
    if identifier.get("value"):
        add((identifier["value"], identifier.get("system") or "", 0, 0))


def _test(asked: Asked, setting: Setting) -> Test:
    if asked.modifier == "identifier":
        return TOKEN.test(replace(asked, param=f"{asked.param}:identifier", modifier=""), setting)
    value = unescape(asked.value)
    if asked.modifier and asked.modifier not in tables.resource_types():
        raise Invalid(f"'{asked.modifier}' is not a resource type", asked.name)
    if _ID.fullmatch(value):
        types = (asked.modifier,) if asked.modifier else asked.targets or tuple(sorted(tables.resource_types()))
        links: tuple[Test, ...] = tuple(Link(asked.param, f"{type}/{value}") for type in types)
        return links[0] if len(links) == 1 else AnyOf(links)
    to = target(value, setting.base)
    if not to or (":" not in to and not _RESTFUL.fullmatch(to)):
        raise Invalid(f"'{asked.value}' is not a reference: expected an id, Type/id or a URL", asked.name)
    if asked.modifier and not to.startswith(f"{asked.modifier}/"):
        raise Invalid(f"'{asked.value}' is not a {asked.modifier}", asked.name)
    return Link(asked.param, to)


REFERENCE = Kind(
    LINK,
    {"Reference": _reference, "canonical": _canonical, "uri": _canonical},
    _test,
    frozenset({"identifier"}),
    sortable=False,
    facets={"identifier": Facet(TERM, {"Reference": _identifier})},
)
