"""`tiercare copy`: everything of one store into another, through the store port alone.

The change sequence is the thread: versions are taken over in its order, so what the target holds at any moment is a
true past state of the source, and its last stamp says where to go on.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from server.errors import Conflict, Invalid, TooCostly, Unavailable
from server.keys import Adoption, All, Change, Entry, Version
from server.store.port import Store

PAGE = 5000  # lines of the change sequence read at once
READS = 32  # versions asked for at once
BATCH = 256  # versions taken over in one commit
BATCH_BYTES = 8 * 2**20  # of their bodies
PATIENCE = 45.0  # seconds to wait for a process that was killed to count as gone, longer than a MongoDB lease
PAUSE = 0.5  # seconds between two looks

Index = Callable[[Version], Sequence[Entry]]
Show = Callable[[int, int, str], None]  # versions done, versions at all, what is going on


@dataclass(slots=True)
class Copied:
    """What the target holds now, and how much of it this run brought. `late`: the source was written meanwhile."""

    versions: int = 0
    brought: int = 0
    claims: int = 0
    living: dict[str, int] = field(default_factory=dict)  # type -> current resources that are not deleted
    late: bool = False


async def copy(source: Store, target: Store, index: Index, show: Show) -> Copied:
    """Raises Invalid when the target holds other data, Conflict when others have it open, Unavailable (stores)."""
    end = await _newest(source)
    if not end:
        raise Invalid("the source holds nothing")
    show(0, 0, "comparing")
    await _alone(target)
    done, total, types = await _compare(source, target, end)
    report = Copied(versions=total, brought=total - done)
    reached = await _newest(target)
    async with aclosing(_batches(source, reached, end, index)) as batches:
        show(done, total, "copying")
        async for batch in batches:
            await _take_over(target, batch)
            done += len(batch)
            show(done, total, "copying")
    report.claims = await _copy_claims(source, target)
    show(done, total, "verifying")
    await _verify(source, target, end, types, report)
    return report


async def _newest(store: Store) -> int:
    newest = await store.history(None, None, None, 1)
    return newest[0].stamp if newest else 0


async def _alone(target: Store) -> None:
    """A process that was killed, such as the copy before this one, counts for a while as having the target open."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await target.adopt([])
        except Conflict:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(PAUSE)


# ------------------------------------------------------------------------------------------------- comparing
async def _feed(store: Store, after: int, end: int) -> AsyncGenerator[list[Change], None]:
    """The change sequence up to the stamp `end`, which is there; a store may show it only after a while."""
    deadline = time.monotonic() + PATIENCE
    while after < end:
        lines = await store.changes(after, PAGE)
        if lines:
            after, deadline = lines[-1].stamp, time.monotonic() + PATIENCE
            yield [line for line in lines if line.stamp <= end]
        elif time.monotonic() > deadline:
            raise Unavailable("the change sequence does not come up to the newest version: is another server hanging?")
        else:
            await asyncio.sleep(PAUSE)


async def _lines(store: Store, end: int) -> AsyncGenerator[Change, None]:
    async with aclosing(_feed(store, 0, end)) as pages:
        async for page in pages:
            for line in page:
                yield line


async def _compare(source: Store, target: Store, end: int) -> tuple[int, int, set[str]]:
    """(versions that the target has already, versions up to `end`, their types). Raises Invalid for any other."""
    done = total = 0
    types: set[str] = set()
    async with aclosing(_lines(target, await _newest(target))) as theirs, aclosing(_lines(source, end)) as ours:
        line = await anext(theirs, None)
        async for own in ours:
            total += 1
            types.add(own.type)
            if line is not None:
                if line != own:
                    break
                done += 1
                line = await anext(theirs, None)
    if line is not None:
        raise Invalid(
            f"the target holds other data: {line.type}/{line.id} version {line.version} there is not what the source "
            "has at that place. A copy goes into an empty store, or goes on with its own"
        )
    return done, total, types


# --------------------------------------------------------------------------------------------------- copying
async def _batches(source: Store, after: int, end: int, index: Index) -> AsyncGenerator[list[Adoption], None]:
    batch: list[Adoption] = []
    size = 0
    async with aclosing(_feed(source, after, end)) as pages:
        async for page in pages:
            for start in range(0, len(page), READS):
                found = await asyncio.gather(*(_adoption(source, line, index) for line in page[start : start + READS]))
                for adoption in found:
                    batch.append(adoption)
                    size += len(adoption.version.body)
                    if len(batch) >= BATCH or size >= BATCH_BYTES:
                        yield batch
                        batch, size = [], 0
    if batch:
        yield batch


async def _adoption(source: Store, line: Change, index: Index) -> Adoption:
    version = await source.get(line.type, line.id, line.version)
    if version is None or version.stamp != line.stamp:
        raise Unavailable(f"{line.type}/{line.id} version {line.version} left the source meanwhile: run the copy again")
    before = await source.get(line.type, line.id, line.version - 1) if line.version > 1 else None
    return Adoption(version, index(before) if before else (), index(version))


async def _take_over(target: Store, batch: Sequence[Adoption]) -> None:
    try:
        await target.adopt(batch)
    except TooCostly as large:
        if len(batch) == 1:
            version = batch[0].version
            raise TooCostly(f"{version.type}/{version.id} version {version.version}: {large}") from large
        for adoption in batch:
            await _take_over(target, [adoption])


async def _copy_claims(source: Store, target: Store) -> int:
    done, after = 0, ""
    while holdings := await source.holdings(after, BATCH):
        await target.adopt([], holdings)
        done, after = done + len(holdings), holdings[-1].claim
    return done


# ------------------------------------------------------------------------------------------------- verifying
async def _verify(source: Store, target: Store, end: int, types: set[str], report: Copied) -> None:
    """The whole change sequence once more, then the living resources of each type on both sides."""
    done, total, _ = await _compare(source, target, end)
    for type in sorted(types):
        here, there = await source.count(type, All()), await target.count(type, All())
        report.living[type] = there
        if here != there:
            report.late = report.late or await _newest(source) > end
            if not report.late:
                raise Invalid(f"after copying, the source has {here} {type} and the target {there}: do not use it")
    report.late = report.late or await _newest(source) > end
    if done != total:
        raise Invalid(f"after copying, the target has {done} versions of {total}: do not use it")
