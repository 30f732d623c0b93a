"""What a search needs of terminology, looked up before it runs: the codes behind `:in`, `:not-in`, `:above`, `:below`
(https://hl7.org/fhir/R4/search.html#token).

Value sets and code systems are read where they are stored, as plain lists: codes that a ValueSet enumerates or has
expanded, concepts that a CodeSystem holds itself. What would have to be computed is refused by name.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import orjson

from server.errors import Invalid, NotSupported, TooCostly
from server.interaction.access import Records
from server.interaction.api import Api
from server.interaction.context import Context
from server.keys import Select, Term
from server.model import tables
from server.search.kinds.kind import Setting, split, unescape
from server.search.query import Parameters

_VALUE_SETS, _HIERARCHY = ("in", "not-in"), ("above", "below")
Coded = list[tuple[str, str]]


async def setting_of(api: Api, context: Context, parameters: Parameters) -> Setting:
    """What both sides of a search need to know, with the terminology that these parameters ask for.

    Raises NotSupported naming the value set or code system that is not stored or not a plain list, TooCostly.
    """
    found: dict[tuple[str, str], Coded] = {}
    records = api.records(context)
    for name, value in parameters:
        modifier = name.rpartition(":")[2]
        if ":" not in name or modifier not in (*_VALUE_SETS, *_HIERARCHY):
            continue
        for one in split(value, ","):
            asked = unescape(one)
            if modifier in _VALUE_SETS:
                codes = await _value_set(records, asked, name)
            elif "|" in asked:
                codes = await _relatives(records, modifier, asked, name)
            else:
                continue  # of a uri parameter, which needs no terminology
            if len(codes) > api.limits.codes_max:
                raise TooCostly(f"{name} stands for {len(codes)} codes, {api.limits.codes_max} is the limit", name)
            found[modifier.removeprefix("not-"), asked] = codes
    if not found:
        return api.setting

    def looked_up(modifier: str, asked: str) -> Coded:
        if (modifier, asked) not in found:
            raise Invalid(f"'{asked}' is not system|code", f":{modifier}")
        return found[modifier, asked]

    return replace(api.setting, codes=looked_up)


async def _value_set(records: Records, asked: str, name: str) -> Coded:
    """The codes of a value set, by its URL or as a reference to one that is stored."""
    stored = await _stored(records, "ValueSet", asked)
    if stored is None:
        try:
            known = tables.value_set(asked.partition("|")[0])
        except KeyError:
            known = None
        if known is None or known.rule:
            raise NotSupported(f"the value set '{asked}' is not stored on this server", name)
        return [(system, code) for system, codes in known.systems.items() for code in sorted(codes)]
    expansion = (stored.get("expansion") or {}).get("contains")
    if expansion:
        return list(_contained(expansion))
    compose = stored.get("compose") or {}
    includes = compose.get("include") or []
    if compose.get("exclude") or any(not one.get("concept") or one.get("valueSet") for one in includes):
        raise NotSupported(f"the value set '{asked}' is not a plain list of codes: it would have to be expanded", name)
    return [(one.get("system") or "", concept["code"]) for one in includes for concept in one["concept"]]


def _contained(contains: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for one in contains:
        if one.get("code") and not one.get("abstract"):
            yield one.get("system") or "", one["code"]
        yield from _contained(one.get("contains") or ())


async def _relatives(records: Records, modifier: str, asked: str, name: str) -> Coded:
    """A code and all above or below it in the hierarchy of its stored CodeSystem."""
    system, _, code = asked.partition("|")
    stored = await _stored(records, "CodeSystem", system)
    if stored is None:
        raise NotSupported(f"the code system '{system}' is not stored on this server", name)
    parents = dict(_parents(stored.get("concept") or (), ()))
    if code not in parents:
        raise Invalid(f"the code system '{system}' has no code '{code}'", name, code="code-invalid")
    above = _closure(code, parents)
    if modifier == "above":
        return [(system, one) for one in above]
    return [(system, one) for one in parents if code in _closure(one, parents)]


def _parents(concepts: Iterable[dict[str, Any]], above: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Code -> the codes directly above it: by nesting, and by the property `parent`."""
    for concept in concepts:
        named = [one.get("valueCode") for one in concept.get("property") or () if one.get("code") == "parent"]
        yield concept["code"], (*above, *(one for one in named if one))
        yield from _parents(concept.get("concept") or (), (concept["code"],))


def _closure(code: str, parents: dict[str, tuple[str, ...]]) -> list[str]:
    found, waiting = dict.fromkeys([code]), [code]
    while waiting:
        for parent in parents.get(waiting.pop(), ()):
            if parent not in found:
                found[parent] = None
                waiting.append(parent)
    return list(found)


async def _stored(records: Records, type: str, asked: str) -> dict[str, Any] | None:
    """By reference (`ValueSet/1`) or by canonical URL, the newest where several have it."""
    if asked.startswith(f"{type}/"):
        version = await records.get(type, asked.removeprefix(f"{type}/"))
        versions = [version] if version is not None and not version.deleted else []
    else:
        url, _, wanted = asked.partition("|")
        versions = (await records.select(Select(type, Term(f"{type}.url", url, ""), limit=20))).versions
        if wanted:
            versions = [one for one in versions if orjson.loads(one.body).get("version") == wanted]
    found: dict[str, Any] | None = orjson.loads(max(versions, key=lambda one: one.stamp).body) if versions else None
    return found
