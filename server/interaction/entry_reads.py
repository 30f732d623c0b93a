"""The GET entries of a batch or transaction: read, vread, search, history, each answered as an entry
(https://hl7.org/fhir/R4/http.html#transaction)."""

from collections.abc import Awaitable, Callable, Sequence

from server.errors import Gone
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.entries import Item, naming
from server.interaction.history import history
from server.interaction.plan import Planned
from server.interaction.read import read, unchanged, vread
from server.interaction.search import search
from server.keys import Version
from server.model import bundle as bundles
from server.model.subset import asked
from server.search.query import parameters


async def get(api: Api, context: Context, item: Item) -> bytes:
    """The answer of a GET entry. Raises what the interaction raises."""
    return await _GETS[_kind(item)](api, context, item)


async def check_gets(api: Api, context: Context, gets: Sequence[Item], planned: Sequence[Planned]) -> None:
    """A transaction in which one entry fails fails whole, so what a GET asks for has to be there before anything is
    written: as it is stored, or as this transaction writes it. Raises what the GET would."""
    writes = {(one.write.type, one.write.id): one.write for one in planned if one.write}
    for item in gets:
        kind, write = _kind(item), writes.get((item.type, item.id))
        with naming(item):
            if write is None or (kind == "vread" and item.version != str(write.expect + 1)):
                await _GETS[kind](api, context, item)
            elif write.draft is None and kind != "history":
                raise Gone(f"{item.type}/{item.id} is deleted by this transaction", item.type)
            asked(parameters_of(item), item.type)


def _kind(item: Item) -> str:
    if item.version:
        return "history" if item.version == "_history" else "vread"
    return "read" if item.id else "search"


async def _get_read(api: Api, context: Context, item: Item) -> bytes:
    version = await read(api, context, item.type, item.id)
    if unchanged(version, item.if_none_match, item.if_modified_since):
        return bundles.response_entry("304 Not Modified", version)
    return _whole_or_subset(item, version)


async def _get_vread(api: Api, context: Context, item: Item) -> bytes:
    version = await vread(api, context, item.type, item.id, item.version)
    return _whole_or_subset(item, version)


def _whole_or_subset(item: Item, version: Version) -> bytes:
    subset = asked(parameters_of(item), item.type)
    return bundles.response_entry("200 OK", version, resource=(subset.cut(version) if subset else version).body)


async def _get_search(api: Api, context: Context, item: Item) -> bytes:
    found = await search(api, context, item.type, parameters_of(item))
    return bundles.response_entry("200 OK", resource=found.body(context.base))


async def _get_history(api: Api, context: Context, item: Item) -> bytes:
    past = await history(api, context, item.type, item.id, parameters_of(item))
    body = bundles.history(
        past.versions, past.total, {"self": past.self, "next": past.next}, context.base, past.created
    )
    return bundles.response_entry("200 OK", resource=body)


_GETS: dict[str, Callable[[Api, Context, Item], Awaitable[bytes]]] = {
    "read": _get_read, "vread": _get_vread, "search": _get_search, "history": _get_history,
}  # fmt: skip


def parameters_of(item: Item) -> list[tuple[str, str]]:
    return parameters(item.url.partition("?")[2])
