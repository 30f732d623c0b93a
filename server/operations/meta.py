"""$meta: profiles, tags and security labels of a resource or one of its versions, or in use in a type or the system
(https://hl7.org/fhir/R4/resource-operation-meta.html)."""

import msgspec

from server.errors import TooCostly
from server.interaction.access import Records
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.operation import INSTANCE, SYSTEM, TYPE, Call, Operation, Parameter, Result
from server.interaction.read import read, vread
from server.keys import TERM, Any, Present, Select
from server.model import tables
from server.model.labels import LABELS, Labels
from server.model.raw import joined, members

_PAGE = 500  # resources looked at in one go


def answer(meta: bytes) -> Result:
    """Parameters with this Meta; without any where there is nothing in it, as FHIR has no empty element."""
    if meta == b"{}":
        return Result(b'{"resourceType":"Parameters"}')
    return Result(b'{"resourceType":"Parameters","parameter":[{"name":"return","valueMeta":%b}]}' % meta)


async def meta(api: Api, context: Context, call: Call) -> Result:
    """Raises NotFound and Gone as a read does, TooCostly past Limits.meta_max."""
    if call.level != INSTANCE:
        return answer(await _in_use(api, context, [call.type] if call.type else sorted(tables.resource_types())))
    if call.version:
        version = await vread(api, context, call.type, call.id, call.version)
    else:
        version = await read(api, context, call.type, call.id)
    body = members(version.body)
    return answer(body.get("meta", b"{}"))


async def _in_use(api: Api, context: Context, types: list[str]) -> bytes:
    """The Meta with every profile, tag and security label that the caller's resources of these types have."""
    records, found, left = api.records(context), Labels(), api.limits.meta_max
    for type in types:
        left = await _collect(records, type, found, left)
        if left < 0:
            raise TooCostly(
                f"more than {api.limits.meta_max} resources have profiles, tags or labels, the limit of one $meta: "
                "ask for one type, or raise the setting meta_max",
                f"{type}/$meta" if len(types) == 1 else "$meta",
            )
    return joined(found.sorted())


async def _collect(records: Records, type: str, found: Labels, left: int) -> int:
    """Adds what the resources of a type have; how many more may be read, negative when there are too many."""
    labelled = Any(tuple(Present(f"{type}._{one.parameter}", TERM) for one in LABELS))
    select = Select(type, labelled, limit=min(_PAGE, left + 1))
    while True:
        page = await records.select(select)
        left -= len(page.versions)
        for version in page.versions:
            found.add(msgspec.json.decode(version.body, type=_WithMeta).meta)
        if page.next is None or left < 0:
            return left
        select = Select(type, labelled, after=page.next, limit=min(_PAGE, left + 1))


class _WithMeta(msgspec.Struct):
    meta: dict[str, msgspec.Raw] = {}


META = Operation(
    id="Resource-meta",
    code="meta",
    title="Profiles, tags and security labels in use",
    description="The meta element of a resource or of one of its versions; of a type or the whole server the profiles, "
    "tags and security labels that any resource has (those with a code), each once.",
    run=meta,
    levels=(SYSTEM, TYPE, INSTANCE),
    parameters=(Parameter("return", "Meta", "profiles, tags and security labels; absent: none", 0, "1", "out"),),
    base="http://hl7.org/fhir/OperationDefinition/Resource-meta",
    versions=True,
)
