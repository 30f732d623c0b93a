"""The reindex of stored resources for a SearchParameter that came, changed or went: a walk in batches, then what was
written meanwhile, then a check of everything against the store's own index.

It can be stopped at any moment: the Task (reindex_task.py) says where to go on. Doing a batch twice changes nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from server.interaction import reindex_task as tasks
from server.interaction.api import Api
from server.interaction.parameters import SETTLE, defined
from server.interaction.reentry import Definitions, difference, reentries
from server.interaction.reindex_task import CHECK, DONE, FAILED, FOLLOW, WALK, Job, State
from server.keys import All, Reentry, Select, Version, milliseconds_of, stamp_of

BATCH = 100
FEED = 1000  # lines of the change sequence read at once
ROUNDS = 5  # checks that find something and repair it, before it is given up
BEAT = 0.5  # seconds between two versions of the Task
HOLDS_OTHERS = {"Composition": "Bundle", "MessageHeader": "Bundle"}  # a Bundle is found by its first resource


class Lost(Exception):
    """Another process goes on with it, or the SearchParameter was written again."""


@dataclass(slots=True)
class Reindex:
    """One run. `definitions`: what the SearchParameter said in all its versions, so that old entries are found."""

    api: Api
    job: Job
    definitions: Definitions
    types: list[str]
    beaten: float = 0.0

    async def run(self) -> None:
        """Until it is done. Raises Lost."""
        steps = {WALK: self._walk, FOLLOW: self._follow, CHECK: self._check}
        while not self.job.state.over:
            await steps[self.job.state.phase]()

    async def _walk(self) -> None:
        """When all processes write by the change: what is written from then on needs no second look."""
        await asyncio.sleep(max(0.0, milliseconds_of(self.definitions.stamp) / 1000 + SETTLE - time.time()))
        async for versions in self._pages():
            await self._reenter(versions)
        await self._save(phase=FOLLOW, type="", cursor=None, feed=self.definitions.stamp)

    async def _follow(self) -> None:
        """What was written since the change once more: a process may have been halted between plan and commit."""
        end = stamp_of(tasks.now())
        while lines := await self.api.store.changes(self.job.state.feed, FEED):
            names = {(line.type, line.id): None for line in lines if line.type in self.types}
            found = [await self.api.store.get(*name) for name in names]
            await self._reenter([one for one in found if one is not None and not one.deleted])
            await self._beat(feed=lines[-1].stamp)
            if lines[-1].stamp >= end:
                break
        await self._save(phase=CHECK, type="", cursor=None, seen=0)

    async def _check(self) -> None:
        before = self.job.state.repaired
        async for versions in self._pages(checking=True):
            wrong = await difference(self.api, self.definitions, versions)
            if wrong:
                await self._reenter(wrong)
                await self._save(repaired=self.job.state.repaired + len(wrong))
        state = self.job.state
        if state.repaired == before:
            await self._save(phase=DONE, runner="")
        elif state.rounds + 1 < ROUNDS:
            await self._save(type="", cursor=None, seen=0, rounds=state.rounds + 1)
        else:
            await self._save(phase=FAILED, runner="", problem=f"after {ROUNDS} checks entries were still repaired")

    async def _pages(self, checking: bool = False) -> AsyncIterator[Sequence[Version]]:
        """Living resources from where the Task has come to; the Task moves on when a page was worked on."""
        await self._beat(total=sum([await self.api.store.count(type, All()) for type in self.types]))
        start = self.job.state
        for type in self.types[self.types.index(start.type) if start.type in self.types else 0 :]:
            select = Select(type, All(), after=start.cursor if type == start.type else None, limit=BATCH)
            while True:
                page = await self.api.store.select(select)
                yield page.versions
                seen = len(page.versions)
                state = self.job.state
                await self._beat(
                    type=type, cursor=page.next, seen=state.seen + seen, checked=state.checked + seen * checking
                )
                if page.next is None:
                    break
                select = replace(select, after=page.next)
            following = self.types[self.types.index(type) + 1 :]
            if following:
                await self._beat(type=following[0], cursor=None)

    async def _reenter(self, versions: Sequence[Version]) -> None:
        """Writes their entries; those that were written meanwhile are taken again as they are now."""
        while versions:
            wanted = await self._wanted(versions)
            done = await self.api.store.reindex(wanted) if wanted else 0
            self._count(done)
            if done == len(wanted):
                return
            tried = {(one.type, one.id): one.version for one in wanted}
            found = [await self.api.store.get(type, id) for type, id in tried]
            versions = [v for v in found if v and not v.deleted and v.version != tried[v.type, v.id]]

    async def _wanted(self, versions: Sequence[Version]) -> list[Reentry]:
        return await reentries(self.api, self.definitions, versions)

    def _count(self, done: int) -> None:
        self.job = Job(self.job.task, replace(self.job.state, indexed=self.job.state.indexed + done))

    async def _beat(self, **changes: object) -> None:
        """Moves on; the Task says so when its last version is BEAT seconds old."""
        self.job = Job(self.job.task, replace(self.job.state, **changes))  # type: ignore[arg-type]
        if time.monotonic() - self.beaten > BEAT:
            await self._save()

    async def _save(self, **changes: object) -> None:
        state: State = replace(self.job.state, beat=tasks.now(), **changes)  # type: ignore[arg-type]
        job = await tasks.write(self.api, state, self.job.task)
        if job is None:
            raise Lost
        self.job, self.beaten = job, time.monotonic()


def _held(state: State, runner: str) -> bool:
    return state.runner not in ("", runner) and tasks.now() - state.beat < tasks.LEASE * 1000


async def claimed(api: Api, parameter: Version, runner: str) -> Reindex | None:
    """The run of this SearchParameter as it is now, taken over by `runner`; None while another process is at it."""
    job = (await tasks.jobs(api)).get(parameter.id)
    state = job.state if job else None
    same = state is not None and state.version == parameter.version
    if state is not None and same and (state.over or _held(state, runner)):
        return None
    history = await api.store.history("SearchParameter", parameter.id, None, 1000)
    definitions = Definitions([one for one in map(defined, history) if one], history[-1].stamp, parameter.stamp)
    types = {type for one in definitions.all for type in one}
    types |= {HOLDS_OTHERS[type] for type in types if type in HOLDS_OTHERS}
    begun = state if state is not None and same else State(parameter.id, parameter.version, tasks.now())
    taken = await tasks.write(api, replace(begun, runner=runner, beat=tasks.now()), job.task if job else None)
    return Reindex(api, taken, definitions, sorted(types)) if taken else None
