"""$reindex: the state of the reindex for a SearchParameter, and starting it anew
(docs/decisions/0014-custom-search-parameters.md). R4 has no such operation; the definition is our own."""

from server.errors import Conflict, NotFound, Unprocessable
from server.interaction import reindex_task as tasks
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.operation import INSTANCE, Call, Operation, Parameter, Result
from server.interaction.parameters import defined, refresh


async def reindex(api: Api, context: Context, call: Call) -> Result:
    """The Task. POST begins again with what is done or has failed, what is under way goes on. Raises NotFound (also for
    what has nothing to be indexed by: never active), Unprocessable, Conflict."""
    version = await api.records(context).get(call.type, call.id)
    if version is None:
        raise NotFound(f"{call.type}/{call.id} is not known", call.type)
    await refresh(api)
    job = (await tasks.jobs(api)).get(call.id)
    if call.method == "GET":
        if job is None:
            raise NotFound(
                f"{call.type}/{call.id} was never active, so nothing is indexed by it", f"{call.type}.status"
            )
        return Result(job.task.body)
    if not defined(version) and (job is None or not job.state.over):
        if job is not None:
            return Result(job.task.body, status=202)
        raise Unprocessable(f"{call.type}/{call.id} is not active: there is nothing to index", f"{call.type}.status")
    if job is None or job.state.over:
        begun = tasks.State(call.id, version.version, tasks.now())
        job = await tasks.write(api, begun, job.task if job else None)
        if job is None:
            raise Conflict("another client started it at the same moment", "$reindex")
        await refresh(api)
    return Result(job.task.body, status=202)


REINDEX = Operation(
    id="SearchParameter-reindex",
    code="reindex",
    title="Index stored resources by a SearchParameter",
    description="GET shows the Task that says how far the stored resources are indexed by this SearchParameter, POST "
    "begins anew when that Task is over. Until it is done, searches by the parameter are refused with 503.",
    run=reindex,
    levels=(INSTANCE,),
    types=("SearchParameter",),
    parameters=(Parameter("return", "Task", "how far it is", 1, "1", "out"),),
    affects_state=True,
    shows=True,
)
