"""search (https://hl7.org/fhir/R4/http.html#search): hits, totals and page links."""

from dataclasses import dataclass, replace
from urllib.parse import urlencode

from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.include import included
from server.interaction.paging import seal, unseal
from server.interaction.terminology import setting_of
from server.keys import Version
from server.search.query import CURSOR, Parameters, Query, parse


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a search. total None: not counted. Links are absolute; next '' on the last page."""

    hits: list[Version]
    included: list[Version]
    total: int | None
    self: str
    next: str


async def search(api: Api, context: Context, type: str, parameters: Parameters) -> Found:
    """Raises Invalid or NotSupported naming the parameter, TooCostly for too many inclusions."""
    query = parse(type, parameters, await setting_of(api, context, parameters), lenient=context.lenient)
    records = api.records(context)
    link = f"{context.base}/{type}"
    own = urlencode(query.used, safe=":/,|$")  # what page links are sealed with
    shown = urlencode([*query.used, *query.shown], safe=":/,|$")
    select = query.select(_page_size(api, query))
    if query.summary == "count" or query.count == 0:
        return Found([], [], await records.count(type, select.test), _join(link, shown), "")
    if query.cursor:
        select = replace(select, after=tuple(unseal(api.page_key, f"{type}?{own}", query.cursor)))
    page = await records.select(select)
    total = None
    if page.next is None and not query.cursor:
        total = len(page.versions)
    elif query.total == "accurate":
        total = await records.count(type, select.test)
    onward = ""
    if page.next is not None:
        cursor = seal(api.page_key, f"{type}?{own}", page.next)
        onward = _join(link, "&".join(part for part in (shown, f"{CURSOR}={cursor}") if part))
    more = await included(api, records, query.includes, page.versions)
    here = f"{shown}&{CURSOR}={query.cursor}".lstrip("&") if query.cursor else shown
    hits = page.versions
    if query.subset is not None:
        hits = [query.subset.cut(hit) for hit in hits]
        more = [query.subset.cut(one, included=True) for one in more]
    return Found(hits, more, total, _join(link, here), onward)


def _page_size(api: Api, query: Query) -> int:
    return min(api.limits.count_default if query.count is None else query.count, api.limits.count_max)


def _join(link: str, query: str) -> str:
    return f"{link}?{query}" if query else link
