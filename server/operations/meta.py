"""$meta: profiles, tags and security labels of a resource or one of its versions
(https://hl7.org/fhir/R4/resource-operation-meta.html)."""

from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.operation import INSTANCE, Call, Operation, Parameter, Result
from server.interaction.read import read, vread
from server.model.raw import members

_RETURN = b'{"resourceType":"Parameters","parameter":[{"name":"return","valueMeta":%b}]}'


async def meta(api: Api, context: Context, call: Call) -> Result:
    """Raises NotFound and Gone as a read does."""
    if call.version:
        version = await vread(api, context, call.type, call.id, call.version)
    else:
        version = await read(api, context, call.type, call.id)
    return Result(_RETURN % members(version.body)["meta"])


META = Operation(
    id="Resource-meta",
    code="meta",
    title="Profiles, tags and security labels in use",
    description="The meta element of a resource, or of one of its versions.",
    run=meta,
    levels=(INSTANCE,),
    parameters=(Parameter("return", "Meta", "profiles, tags and security labels", 1, "1", "out"),),
    base="http://hl7.org/fhir/OperationDefinition/Resource-meta",
)
