"""$meta-add and $meta-delete: profiles, tags and security labels put on a resource, or taken off
(https://hl7.org/fhir/R4/resource-operation-meta-add.html, resource-operation-meta-delete.html).

A change makes a new version (docs/decisions/0010-meta-operations-make-versions.md); what changes nothing makes none.
"""

from collections.abc import Callable, Mapping

from server.errors import Unprocessable
from server.interaction.accept import accept
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.operation import INSTANCE, Call, Operation, Parameter, Result
from server.interaction.plan import Planned, Taken, living_version, plan_change, write_one
from server.model.labels import with_labels, without_labels
from server.model.raw import members
from server.model.subset import subsetted
from server.operations.meta import answer

Change = Callable[[Mapping[str, bytes], bytes], bytes]


async def meta_add(api: Api, context: Context, call: Call) -> Result:
    """Tags and labels are the same when system and code are. Raises NotFound, Gone, Forbidden, Invalid."""
    return await _change(api, context, call, with_labels)


async def meta_delete(api: Api, context: Context, call: Call) -> Result:
    """What the resource does not have is left aside. Raises as meta_add does."""
    return await _change(api, context, call, without_labels)


async def _change(api: Api, context: Context, call: Call, change: Change) -> Result:
    given = call.raw("meta")
    assert given is not None  # the definition demands it

    async def plan(taken: Taken) -> Planned:
        seen = await living_version(api, context, call.type, call.id)
        accepted = accept(change(members(seen.body), given), call.type)
        if subsetted(accepted.resource):
            raise Unprocessable("the tag SUBSETTED is for parts of resources, this is a whole one", "meta.tag")
        return plan_change(api, accepted, seen)

    written = await write_one(api, plan)
    return answer(members(written.version.body)["meta"])


_RETURN = Parameter("return", "Meta", "what the resource has now", 1, "1", "out")
META_ADD = Operation(
    id="Resource-meta-add",
    code="meta-add",
    title="Add profiles, tags and security labels",
    description="Adds the profiles, tags and security labels of the given meta that the resource has not yet, as a new "
    "version of the resource; its other elements stay byte for byte.",
    run=meta_add,
    levels=(INSTANCE,),
    parameters=(Parameter("meta", "Meta", "profiles, tags and security labels to add", 1), _RETURN),
    affects_state=True,
    base="http://hl7.org/fhir/OperationDefinition/Resource-meta-add",
)
META_DELETE = Operation(
    id="Resource-meta-delete",
    code="meta-delete",
    title="Take off profiles, tags and security labels",
    description="Takes the profiles, tags and security labels of the given meta off the resource, as a new version of "
    "the resource; its other elements stay byte for byte.",
    run=meta_delete,
    levels=(INSTANCE,),
    parameters=(Parameter("meta", "Meta", "profiles, tags and security labels to take off", 1), _RETURN),
    affects_state=True,
    base="http://hl7.org/fhir/OperationDefinition/Resource-meta-delete",
)
