"""history of an instance, a type or all (https://hl7.org/fhir/R4/http.html#history)."""

from dataclasses import dataclass
from urllib.parse import urlencode

from server.errors import Invalid, NotFound, NotSupported
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.paging import seal, unseal
from server.keys import Version
from server.model.subset import asked
from server.search.query import CURSOR, IGNORED, LINKED, Parameters


@dataclass(frozen=True, slots=True)
class Past:
    """A page of a history, newest first. total None: not counted."""

    versions: list[Version]
    total: int | None
    self: str
    next: str


async def history(api: Api, context: Context, type: str | None, id: str | None, parameters: Parameters) -> Past:
    """Raises NotFound for an instance nobody knows, Invalid for a parameter that is wrong."""
    count, cursor = api.limits.count_default, ""
    for name, value in parameters:
        if name == "_count":
            if not (value.isascii() and value.isdigit()):
                raise Invalid(f"_count is a number of versions, not '{value}'", name)
            count = max(1, min(int(value[:9]), api.limits.history_max))
        elif name == CURSOR:
            cursor = value
        elif name in ("_since", "_at", "_list"):
            raise NotSupported(f"'{name}' of a history is not supported yet", name)
        elif name not in (*IGNORED, "_summary", "_elements"):
            raise Invalid(f"a history has no parameter '{name}'", name, code="not-supported")
    place = "/".join(part for part in (type, id, "_history") if part)
    subset = asked(parameters, type)
    before = int(unseal(api.page_key, place, cursor)) if cursor else None
    versions, onward = await api.records(context).history(type, id, before, count)
    if id is not None and not versions and before is None:
        raise NotFound(f"{type}/{id} is not known", type or "")
    link, own = f"{context.base}/{place}", [(n, v) for n, v in parameters if n != CURSOR and n not in IGNORED - LINKED]
    total = len(versions) if onward is None and before is None else None
    next = f"{link}?{urlencode([*own, (CURSOR, seal(api.page_key, place, onward))])}" if onward is not None else ""
    if subset is not None:
        versions = [subset.cut(version) for version in versions]
    return Past(versions, total, f"{link}?{urlencode(own)}" if own else link, next)
