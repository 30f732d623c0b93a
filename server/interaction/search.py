"""search (https://hl7.org/fhir/R4/http.html#search): hits, totals and page links."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from server.errors import Issue, NotSupported, TooCostly
from server.interaction.access import Records
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.include import included
from server.interaction.paging import seal, unseal
from server.interaction.terminology import setting_of
from server.keys import Select, Test, Version
from server.model.bundle import searchset
from server.model.outcome import operation_outcome
from server.search.query import CURSOR, Parameters, Query, check_size, parse


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a search. total None: not counted. Links are absolute; next '' on the last page."""

    hits: list[Version]
    included: list[Version]
    total: int | None
    self: str
    next: str
    plan: bytes = b""  # an OperationOutcome, in place of everything else (`_explain`)

    def body(self, base: str) -> bytes:
        """The answer."""
        links = {"self": self.self, "next": self.next}
        return self.plan or searchset(self.hits, self.included, self.total, links, base)


async def search(
    api: Api, context: Context, type: str, parameters: Parameters, within: Test | None = None, owner: str = ""
) -> Found:
    """Raises Invalid or NotSupported naming the parameter, TooCostly for too many inclusions.

    within: of a compartment, whose `Type/id` is `owner`.
    """
    check_size(parameters, api.limits.search_values_max)
    query = parse(type, parameters, await setting_of(api, context, parameters), lenient=context.lenient)
    if within is not None:
        query.tests.append(within)
    records = api.records(context)
    place = f"{owner}/{type}".lstrip("/")
    link = f"{context.base}/{place}"
    own = urlencode(query.used, safe=":/,|$")  # what page links are sealed with
    shown = urlencode([*query.used, *query.shown], safe=":/,|$") if query.shown else own
    select = query.select(page_size(api, query))
    if query.explain:
        return Found([], [], None, joined(link, shown), "", await _plan(api, records, select))
    if query.summary == "count" or query.count == 0:
        return Found([], [], await records.count(type, select.test), joined(link, shown), "")
    if query.cursor:
        select = replace(select, after=tuple(unseal(api.page_key, f"{place}?{own}", query.cursor)))
    page = await records.select(select)
    total = None
    if page.next is None and not query.cursor:
        total = len(page.versions)
    else:
        total = await total_of(query, lambda: records.count(type, select.test))
    onward = ""
    if page.next is not None:
        cursor = seal(api.page_key, f"{place}?{own}", page.next)
        onward = joined(link, "&".join(part for part in (shown, f"{CURSOR}={cursor}") if part))
    more = await included(api, records, query.includes, page.versions)
    here = f"{shown}&{CURSOR}={query.cursor}".lstrip("&") if query.cursor else shown
    hits = page.versions
    if query.subset is not None:
        hits = [query.subset.cut(hit) for hit in hits]
        more = [query.subset.cut(one, included=True) for one in more]
    return Found(hits, more, total, joined(link, here), onward)


async def total_of(query: Query, count: Callable[[], Awaitable[int]]) -> int | None:
    """`_total`: an estimate is exact too, and left out where counting would take too long."""
    if query.total not in ("accurate", "estimate"):
        return None
    try:
        return await count()
    except TooCostly:
        if query.total == "accurate":
            raise
        return None


async def _plan(api: Api, records: Records, select: Select) -> bytes:
    """Raises NotSupported where searches are not explained: a plan tells of the whole store."""
    if not api.explain:
        raise NotSupported("'_explain' is switched off on this server (setting explain)", "_explain")
    said = [f"store: {api.store.name}", *(await records.explain(select)).lines()]
    return operation_outcome([Issue("informational", line, severity="information") for line in said])


def page_size(api: Api, query: Query) -> int:
    return min(api.limits.count_default if query.count is None else query.count, api.limits.count_max)


def joined(link: str, query: str) -> str:
    return f"{link}?{query}" if query else link
