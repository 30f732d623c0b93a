"""What `_include` and `_revinclude` add to a page (https://hl7.org/fhir/R4/search.html#revinclude): each resource once,
nothing that the caller may not see, and within limits: above them the search is refused, never cut off.

The references of a resource are read out of its own body: that costs less than asking the index for each.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import orjson

from server.errors import TooCostly
from server.interaction.access import Records
from server.interaction.api import Api
from server.keys import LINK, All, Any, Entry, Ids, Link, Select, Term, Test, Version
from server.model import tables
from server.model.raw import references as raw_references
from server.search.include import ANY, Include, references
from server.search.index import index
from server.search.kinds.reference import target

Key = tuple[str, str]  # type, id


@dataclass(slots=True)
class _Wanted:
    """What a round of inclusions is after."""

    current: dict[str, dict[str, None]] = field(default_factory=dict)  # type -> ids
    versions: dict[Key, int] = field(default_factory=dict)  # referred to by version only
    canonicals: dict[tuple[str, ...], dict[str, None]] = field(default_factory=dict)  # possible types -> URLs


async def included(api: Api, records: Records, includes: Sequence[Include], hits: Sequence[Version]) -> list[Version]:
    """Raises TooCostly when they are more than include_max, or further than include_depth away from the hits."""
    if not includes:
        return []
    seen: set[Key] = {(hit.type, hit.id) for hit in hits}
    found: list[Version] = []
    at_hand: Sequence[Version] = hits
    for step in range(api.limits.include_depth + 1):
        asked = [one for one in includes if one.iterate] if step else list(includes)
        if not asked or not at_hand:
            return found
        room = api.limits.include_max - len(found)
        reached = await _forwards(api, records, [one for one in asked if not one.reverse], at_hand, seen, room)
        for one in asked:
            if one.reverse:
                reached += await _backwards(api, records, one, at_hand, seen, room - len(reached))
        found += reached
        at_hand = reached
    if at_hand:
        raise TooCostly(
            f"_include:iterate leads further than {api.limits.include_depth} steps from the hits: leave it out"
        )
    return found


def _check_room(api: Api, n: int, room: int) -> None:
    if n > room:
        raise TooCostly(
            f"_include and _revinclude would add more than {api.limits.include_max} resources: ask for smaller pages"
        )


# --------------------------------------------------------------------------------------------------- forwards
async def _forwards(
    api: Api, records: Records, includes: Sequence[Include], at_hand: Sequence[Version], seen: set[Key], room: int
) -> list[Version]:
    wanted = _Wanted()
    for resource in at_hand:
        asked = [one for one in includes if one.type in (ANY, resource.type)]
        if asked:
            _look(api, wanted, asked, resource)
    for type, ids in wanted.current.items():
        for id in [id for id in ids if (type, id) in seen]:
            del ids[id]
    versions = {
        key: number
        for key, number in wanted.versions.items()
        if key not in seen and key[1] not in wanted.current.get(key[0], ())
    }
    _check_room(api, sum(map(len, wanted.current.values())) + len(versions), room)
    found: list[Version] = []
    for type, ids in wanted.current.items():
        if ids:
            found += (await records.select(Select(type, Ids(tuple(ids)), limit=len(ids)))).versions
    for (type, id), number in versions.items():
        version = await records.get(type, id, number)
        if version is not None and not version.deleted:
            found.append(version)
    seen.update((one.type, one.id) for one in found)
    for types, urls in wanted.canonicals.items():
        for type in types:
            found += await _take(api, records, type, _named(type, urls), seen, room - len(found))
    return found


def _look(api: Api, wanted: _Wanted, includes: Sequence[Include], resource: Version) -> None:
    """What one resource refers to by these parameters."""
    entries = [entry for entry in index(orjson.loads(resource.body), api.setting) if entry.shape == LINK]
    versioned = _versioned(api, resource.body)
    for include in includes:
        codes = references(resource.type) if include.code == ANY else (include.code,)
        params = {f"{resource.type}.{code}" for code in codes}
        for entry in entries:
            if entry.param not in params:
                continue
            type, _, id = entry.key.partition("/")
            if ":" in entry.key:
                _canonical(wanted, include, entry, entries)
            elif include.target in ("", type) and (type, id) in versioned:
                wanted.versions.setdefault((type, id), versioned[type, id])
            elif include.target in ("", type):
                wanted.current.setdefault(type, {})[id] = None


def _versioned(api: Api, body: bytes) -> dict[Key, int]:
    """What the body refers to by one version and never without."""
    if b"/_history/" not in body:
        return {}
    found: dict[str, set[int]] = {}
    for reference in raw_references(body):
        _, _, number = reference.partition("/_history/")
        found.setdefault(target(reference, api.setting.base), set()).add(
            int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0
        )
    only = {key: numbers.pop() for key, numbers in found.items() if len(numbers) == 1 and ":" not in key}
    return {(key.partition("/")[0], key.partition("/")[2]): number for key, number in only.items() if number}


# ------------------------------------------------------------------------------------------------- canonicals
def _canonical(wanted: _Wanted, include: Include, entry: Entry, entries: Iterable[Entry]) -> None:
    """A URL may be a canonical: it is looked for among the types that the parameter points at and that have a url.

    With a version it is indexed without too (kinds/reference.py); then only the first is meant.
    """
    url = entry.key
    if any(other.param == entry.param and other.key.startswith(f"{url}|") for other in entries):
        return
    source, _, code = entry.param.partition(".")
    targets = tables.search_parameters(source)[code].targets if code in tables.search_parameters(source) else ()
    types = (include.target,) if include.target else targets
    canonical = tuple(type for type in types if {"url", "version"} <= tables.search_parameters(type).keys())
    if canonical:
        wanted.canonicals.setdefault(canonical, {})[url] = None


def _named(type: str, urls: Iterable[str]) -> Test:
    """Resources of `type` that these canonicals name."""
    tests: list[Test] = []
    for canonical in urls:
        url, _, version = canonical.partition("|")
        named = Term(f"{type}.url", url, "")
        tests.append(All((named, Term(f"{type}.version", version))) if version else named)
    return Any(tuple(tests))


def _names(type: str, resources: Sequence[Version]) -> list[str]:
    """The canonicals by which these resources of `type` may be referred to."""
    if not {"url", "version"} <= tables.search_parameters(type).keys():
        return []
    names = []
    for resource in resources:
        content = orjson.loads(resource.body)
        if url := content.get("url"):
            names += [url, *([f"{url}|{content['version']}"] if content.get("version") else [])]
    return names


# -------------------------------------------------------------------------------------------------- backwards
async def _backwards(
    api: Api, records: Records, include: Include, at_hand: Sequence[Version], seen: set[Key], room: int
) -> list[Version]:
    """What refers to the resources at hand."""
    found: list[Version] = []
    by_type: dict[str, list[Version]] = {}
    for resource in at_hand:
        if include.target in ("", resource.type):
            by_type.setdefault(resource.type, []).append(resource)
    links = {
        type: [*(f"{type}/{one.id}" for one in resources), *_names(type, resources)]
        for type, resources in by_type.items()
    }
    for source in sorted(tables.resource_types()) if include.type == ANY else (include.type,):
        for code, targets in references(source).items():
            if include.code not in (ANY, code):
                continue
            param = f"{source}.{code}"
            keys = dict.fromkeys(key for type, some in links.items() if not targets or type in targets for key in some)
            if keys:
                test = Any(tuple(Link(param, key) for key in keys))
                exact = partial(_refers, api, param, keys) if any(":" in key for key in keys) else None
                found += await _take(api, records, source, test, seen, room - len(found), exact)
    return found


def _refers(api: Api, param: str, keys: Collection[str], source: Version) -> bool:
    """Whether a canonical without version means the resource: one with another version is indexed without it too."""
    own = [e.key for e in index(orjson.loads(source.body), api.setting) if e.shape == LINK and e.param == param]
    return any(
        key in keys and not any(other.startswith(f"{key}|") and other not in keys for other in own) for key in own
    )


async def _take(
    api: Api,
    records: Records,
    type: str,
    test: Test,
    seen: set[Key],
    room: int,
    exact: Callable[[Version], bool] | None = None,
) -> list[Version]:
    """The resources that pass and are not there yet."""
    there = sum(1 for other, _ in seen if other == type)
    page = await records.select(Select(type, test, limit=there + room + 1))
    found = [one for one in page.versions if (one.type, one.id) not in seen and (exact is None or exact(one))]
    _check_room(api, len(found) if page.next is None else room + 1, room)
    seen.update((one.type, one.id) for one in found)
    return found
