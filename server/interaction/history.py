"""history of an instance, a type or all (https://hl7.org/fhir/R4/http.html#history)."""

from dataclasses import dataclass
from urllib.parse import urlencode

from server.errors import Invalid, NotFound, NotSupported
from server.interaction.access import Records
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.paging import seal, unseal
from server.keys import Version, stamp_of
from server.model.subset import asked
from server.search.kinds.date import instants
from server.search.query import CURSOR, IGNORED, LINKED, Parameters


@dataclass(frozen=True, slots=True)
class Past:
    """A page of a history, newest first. total None: not counted."""

    versions: list[Version]
    total: int | None
    self: str
    next: str
    created: frozenset[int] = frozenset()  # stamps of the versions that brought a resource into being, or back


async def history(api: Api, context: Context, type: str | None, id: str | None, parameters: Parameters) -> Past:
    """Raises NotFound for an instance nobody knows, Invalid for a parameter that is wrong.

    `_since`: versions made at or after a time. `_at`: versions that were current at some point of a time, a deletion
    among them; of a type or all, at most Limits.history_max versions are looked at for a page, so pages may be short.
    """
    count, cursor = api.limits.count_default, ""
    since: str | None = None
    at: str | None = None
    for name, value in parameters:
        if name == "_count":
            if not (value.isascii() and value.isdigit()):
                raise Invalid(f"_count is a number of versions, not '{value}'", name)
            count = max(1, min(int(value[:9]), api.limits.history_max))
        elif name == CURSOR:
            cursor = value
        elif name == "_since":
            since = value
        elif name == "_at":
            at = value
        elif name == "_list":
            raise NotSupported(f"'{name}' of a history is not supported yet", name)
        elif name not in (*IGNORED, "_summary", "_elements"):
            raise Invalid(f"a history has no parameter '{name}'", name, code="not-supported")
    place = "/".join(part for part in (type, id, "_history") if part)
    subset = asked(parameters, type)
    records = api.records(context)
    link, own = f"{context.base}/{place}", [(n, v) for n, v in parameters if n != CURSOR and n not in IGNORED - LINKED]
    low, end = _range(api, since, at)
    before = int(unseal(api.page_key, place, cursor)) if cursor else end
    if at is not None and id is None:
        start, look = stamps(api, at, "_at")[0], api.limits.history_max
        versions, onward = await records.current_from(type, start, before, count, look, low)
    else:
        if at is not None and type is not None and id is not None:
            low = max(low, await _current_at(records, type, id, stamps(api, at, "_at")[0]))
        versions, onward = await records.history(type, id, before, count, low)
    if type is not None and id is not None and not versions and not cursor and await records.get(type, id) is None:
        raise NotFound(f"{type}/{id} is not known", type)
    total = len(versions) if onward is None and not cursor else None
    next = f"{link}?{urlencode([*own, (CURSOR, seal(api.page_key, place, onward))])}" if onward is not None else ""
    shown = f"{link}?{urlencode(own)}" if own else link
    created = await records.created(versions)
    if subset is not None:
        versions = [subset.cut(version) for version in versions]
    return Past(versions, total, shown, next, created)


def _range(api: Api, since: str | None, at: str | None) -> tuple[int, int | None]:
    """The first stamp to show, and the one to stop before (None: no end)."""
    low = stamps(api, since, "_since")[0] if since is not None else 0
    return low, stamps(api, at, "_at")[1] if at is not None else None


def stamps(api: Api, text: str, name: str) -> tuple[int, int]:
    """The first stamp of a date, dateTime or instant, and the first after it. Raises Invalid."""
    try:
        low, high = instants(text, api.setting.zone)
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{name} is a date or an instant such as 2024-05-01T08:00:00Z, not '{text}'", name) from error
    first, last = -(-low // 1000), high // 1000 + 1  # microseconds -> milliseconds
    return tuple(max(0, min(stamp_of(ms), 2**63 - 1)) for ms in (first, last))  # type: ignore[return-value]


async def _current_at(records: Records, type: str, id: str, stamp: int) -> int:
    """The stamp of the version that was current at `stamp`; `stamp` itself when there was none yet."""
    found, _ = await records.history(type, id, stamp + 1, 1)
    return found[0].stamp if found else stamp
