"""search over several types: the whole server, `_type=…`, and compartments (https://hl7.org/fhir/R4/search.html#all,
https://hl7.org/fhir/R4/compartmentdefinition.html).

Each type is asked by itself. Without `_sort` the types come one after the other, newest first in each; `_lastUpdated`
merges them by their stamps, which are unique over all types. Both pages go on from a keyset, without state.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any as AnyValue
from urllib.parse import urlencode

from server.errors import Invalid, NotSupported
from server.interaction.access import Records
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.include import included
from server.interaction.paging import seal, unseal
from server.interaction.search import Found, joined, page_size, total_of
from server.interaction.terminology import setting_of
from server.keys import All, Any, Ids, Link, Select, Stamped, Test, Version
from server.model import tables
from server.search import include
from server.search.query import CURSOR, Parameters, Query, check_size, parse

_ALL = "*"
_BY_UPDATE = "_lastUpdated"


@dataclass(frozen=True, slots=True)
class Compartment:
    """`Patient/1`: what belongs to one patient, encounter, practitioner, related person or device."""

    type: str
    id: str

    def types(self) -> list[str]:
        """The types that may belong to it."""
        return sorted(tables.compartment(self.type))

    def test(self, type: str) -> Test:
        """Whether a resource of `type` belongs to it. Raises Invalid for a type that never does."""
        if type != self.type and type not in tables.compartment(self.type):
            raise Invalid(f"a {type} never belongs to a {self.type}: {', '.join(self.types())} may", type)
        codes = tables.compartment_references(self.type, type)
        links: list[Test] = [Link(f"{type}.{code}", f"{self.type}/{self.id}") for code in codes]
        own: list[Test] = [Ids((self.id,))] if type == self.type else []  # R4 has `{def}` for owners only
        return Any((*links, *own))


def compartment(type: str, id: str) -> Compartment:
    """Raises NotSupported for a type that has no compartment."""
    try:
        tables.compartment(type)
    except KeyError as error:
        raise NotSupported(f"{type} has no compartment", type) from error
    return Compartment(type, id)


async def search_across(api: Api, context: Context, parameters: Parameters, within: Compartment | None = None) -> Found:
    """A page over all types, those of `_type`, or those of a compartment.

    Only parameters that each of the types has can be asked for. Raises Invalid, NotSupported, TooCostly.
    """
    check_size(parameters, api.limits.search_values_max)
    types, rest = _types(parameters, within)
    includes = [pair for pair in rest if pair[0].partition(":")[0] in include.NAMES]
    plain = [pair for pair in rest if pair not in includes]
    setting = await setting_of(api, context, parameters)
    queries = [parse(type, plain, setting, lenient=context.lenient) for type in types]
    if queries[0].explain:
        raise NotSupported("'_explain' tells the plan of a search in one type", "_explain")
    if within is not None:
        for query in queries:
            query.tests.append(within.test(query.type))
    first, records = queries[0], api.records(context)
    used = [pair for pair in parameters if pair[0] == "_type" or pair in includes or pair in first.used]
    place = f"{within.type}/{within.id}/{_ALL}" if within else ""
    link, own = f"{context.base}/{place}".rstrip("/"), urlencode(used, safe=":/,|$")
    shown = urlencode([*used, *first.shown], safe=":/,|$")
    if first.summary == "count" or first.count == 0:
        return Found([], [], await _count(records, queries), joined(link, shown), "")
    scope, size = f"{place}?{own}", page_size(api, first)
    after = unseal(api.page_key, scope, first.cursor) if first.cursor else None
    hits, onward = await (_by_update if _sorted(first) else _by_type)(records, queries, after, size)
    total = None
    if onward is None and after is None:
        total = len(hits)
    else:
        total = await total_of(first, lambda: _count(records, queries))
    asked = [include.read(_owner(value, types), name, value) for name, value in includes]
    more = await included(api, records, asked, hits)
    following = f"{CURSOR}={seal(api.page_key, scope, onward)}" if onward is not None else ""
    here = f"{CURSOR}={first.cursor}" if first.cursor else ""
    by_type = {query.type: query for query in queries}
    return Found(
        [_cut(by_type[hit.type], hit) for hit in hits],
        [_cut(by_type.get(one.type, first), one, included=True) for one in more],
        total,
        joined(link, "&".join(part for part in (shown, here) if part)),
        joined(link, "&".join(part for part in (shown, following) if part)) if following else "",
    )


def _types(parameters: Parameters, within: Compartment | None) -> tuple[list[str], list[tuple[str, str]]]:
    """The types to search, and what is left of the parameters."""
    asked = [one for name, value in parameters if name == "_type" for one in value.split(",")]
    for one in asked:
        if one not in tables.resource_types():
            raise Invalid(f"'{one}' is not a resource type", "_type")
    possible = within.types() if within else sorted(tables.resource_types())
    types = [type for type in possible if not asked or type in asked]
    if not types:
        raise Invalid(f"none of the types {', '.join(asked)} can belong to a {within and within.type}", "_type")
    return types, [pair for pair in parameters if pair[0] != "_type"]


def _owner(value: str, types: Sequence[str]) -> str:
    """The type an inclusion is asked of: its own, when it is among those searched."""
    own = value.partition(":")[0]
    return own if own in types else types[0]


def _sorted(query: Query) -> bool:
    if query.sorts and (len(query.sorts) > 1 or query.sorts[0].param != _BY_UPDATE):
        raise NotSupported("a search over several types is sorted by _lastUpdated only", "_sort")
    return bool(query.sorts)


def _cut(query: Query, version: Version, *, included: bool = False) -> Version:
    return query.subset.cut(version, included=included) if query.subset else version


async def _count(records: Records, queries: Sequence[Query]) -> int:
    return sum([await records.count(query.type, All(tuple(query.tests))) for query in queries])


async def _by_type(
    records: Records, queries: Sequence[Query], after: AnyValue, size: int
) -> tuple[list[Version], AnyValue]:
    """Type after type. A cursor is the number of a type and the cursor within it (None: from its start)."""
    number, within = after if after is not None else (0, None)
    hits: list[Version] = []
    for n in range(number, len(queries)):
        if len(hits) == size:
            return hits, (n, None)
        select = queries[n].select(size - len(hits))
        if within is not None:
            select = replace(select, after=tuple(within))
        page = await records.select(select)
        hits += page.versions
        if page.next is not None:
            return hits, (n, page.next)
        within = None
    return hits, None


async def _by_update(
    records: Records, queries: Sequence[Query], after: AnyValue, size: int
) -> tuple[list[Version], AnyValue]:
    """All types merged by stamp. A cursor is the stamp of the last hit."""
    down = queries[0].sorts[0].descending
    hits: list[Version] = []
    for query in queries:
        past = () if after is None else (Stamped(high=after) if down else Stamped(low=after + 1),)
        hits += (
            await records.select(Select(query.type, All((*query.tests, *past)), query.sorts, limit=size + 1))
        ).versions
    hits.sort(key=lambda version: version.stamp, reverse=down)
    return hits[:size], hits[size - 1].stamp if len(hits) > size else None
