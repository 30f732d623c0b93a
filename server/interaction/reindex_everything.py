"""Every stored resource indexed anew, as after an upgrade that changed what is indexed: `tiercare reindex`."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from server.errors import Conflict
from server.interaction import reindex_task as tasks
from server.interaction.api import Api
from server.interaction.parameters import refresh
from server.interaction.reentry import Definitions, whole
from server.interaction.reindex_task import DONE, State
from server.interaction.reindexing import Lost, Reindex
from server.keys import Reentry, Version
from server.model import tables

Show = Callable[[int, int, str], None]  # resources done, resources at all, the type that is at hand


@dataclass(slots=True)
class _Everything(Reindex):
    """One walk; a store that replaces all entries of a resource holds nothing else afterwards, one that writes the
    difference may keep entries that neither this version nor an older one of the resource gives."""

    show: Show = lambda done, total, what: None

    async def _walk(self) -> None:
        async for versions in self._pages():
            await self._reenter(versions)
            state = self.job.state
            self.show(state.seen + len(versions), state.total, versions[0].type if versions else state.type)
        await self._save(phase=DONE, runner="")

    async def _wanted(self, versions: Sequence[Version]) -> list[Reentry]:
        return await whole(self.api, versions)


async def reindex_everything(api: Api, show: Show) -> State:
    """Goes on where one before it was stopped. Raises Conflict while another runs on the store."""
    await refresh(api)
    job = (await tasks.jobs(api)).get("")
    state = job.state if job and not job.state.over else State("", 1, tasks.now())
    if state.runner and tasks.now() - state.beat < tasks.LEASE * 1000:
        raise Conflict(f"a reindex is under way on this store, or was within {tasks.LEASE:.0f} s: wait and try again")
    taken = await tasks.write(api, replace(state, runner=uuid.uuid4().hex, beat=tasks.now()), job.task if job else None)
    if taken is None:
        raise Conflict("another reindex began on this store at the same moment")
    run = _Everything(api, taken, Definitions([], 0, 0), sorted(tables.resource_types()), show=show)
    try:
        await run.run()
    except Lost as lost:
        raise Conflict("another reindex took this one over: wait for that") from lost
    return run.job.state
