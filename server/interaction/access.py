"""The only way from an interaction to stored data: every read and search passes the caller's access filter here.

A select carries the filter as one more test, and so does what it asks of resources at the other end of a link. A single
version is judged by its own index entries, so that the old versions of a resource are as visible as each of them says,
and a deletion as visible as the version before it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import cast

import orjson

from server.errors import NotSupported
from server.interaction.context import Context
from server.keys import All, Any, Backlinked, Change, Linked, Not, Page, Select, Test, Version
from server.search.index import index
from server.search.kinds.kind import Setting
from server.search.match import matches
from server.store.explained import EXPLAINS, Explained, Explains
from server.store.port import Store

_LINES = 2000  # of the change sequence, read in one go


class Records:
    """What one caller can see of a store."""

    def __init__(self, store: Store, context: Context, setting: Setting) -> None:
        self._store, self._access, self._setting = store, context.access, setting

    async def get(self, type: str, id: str, version: int | None = None) -> Version | None:
        """Like Store.get; None also for what the caller may not see."""
        found, hidden = await self.look(type, id, version)
        return None if hidden else found

    async def look(self, type: str, id: str, version: int | None = None) -> tuple[Version | None, bool]:
        """(what is there, whether the caller may not see it): for writes, which must not go over what is hidden."""
        found = await self._store.get(type, id, version)
        return found, found is not None and not await self._visible(found)

    async def select(self, select: Select) -> Page:
        return await self._store.select(replace(select, test=self._with_filter(select.type, select.test)))

    async def count(self, type: str, test: Test) -> int:
        return await self._store.count(type, self._with_filter(type, test))

    async def explain(self, select: Select) -> Explained:
        """How the store answers a select. Raises NotSupported on one that does not say."""
        if EXPLAINS not in self._store.abilities:
            raise NotSupported(f"the store {self._store.name} does not explain its searches", "_explain")
        explaining = cast(Explains, self._store)
        return await explaining.explain(replace(select, test=self._with_filter(select.type, select.test)))

    async def history(
        self, type: str | None, id: str | None, before: int | None, limit: int, since: int = 0
    ) -> tuple[list[Version], int | None]:
        """Visible versions, newest first, at most `limit`, none with a stamp under `since`.

        The stamp to go on before comes with them (None: the end).
        """
        seen: list[Version] = []
        while len(seen) <= limit:
            batch = await self._store.history(type, id, before, limit + 1)
            seen += [version for version in batch if version.stamp >= since and await self._visible(version)]
            if len(batch) <= limit or batch[-1].stamp < since:
                break
            before = batch[-1].stamp
        more = len(seen) > limit
        return seen[:limit], seen[limit - 1].stamp if more else None

    async def current_from(
        self, type: str | None, start: int, before: int | None, limit: int, look: int, since: int = 0
    ) -> tuple[list[Version], int | None]:
        """Like history, but of the versions before the stamp `start` only those that were current then.

        A version was if its successor is not there or younger than `start`: one point read for each resource met, and
        no state between pages. At most `look` versions are looked at, so a page may be short, or empty, and go on.
        """
        seen: list[Version] = []
        passed: set[tuple[str, str]] = set()  # resources whose version at `start`, or an older one, has been met
        while len(seen) <= limit and look > 0:
            asked = min(limit + 1, look)
            batch = await self._store.history(type, None, before, asked)
            for version in batch:
                was_current = version.stamp >= start or await self._was_current(version, start, passed)
                if was_current and version.stamp >= since and await self._visible(version):
                    seen.append(version)
            look -= asked
            if len(batch) < asked or batch[-1].stamp < since:
                before = None
                break
            before = batch[-1].stamp
        return (seen[:limit], seen[limit - 1].stamp) if len(seen) > limit else (seen, before)

    async def _was_current(self, version: Version, start: int, passed: set[tuple[str, str]]) -> bool:
        name = (version.type, version.id)
        if name in passed:
            return False
        passed.add(name)
        after = await self._store.get(version.type, version.id, version.version + 1)
        return after is None or after.stamp >= start

    async def past(self, type: str, id: str, limit: int) -> tuple[list[Version], bool]:
        """(all versions of one resource, newest first, at most `limit`; whether some are hidden from the caller)."""
        versions = await self._store.history(type, id, None, limit)
        return versions, any([not await self._visible(version) for version in versions])

    async def deletions(self, type: str) -> AsyncIterator[Change]:
        """The deletions of a type, oldest first, visible or not: what they deleted has to be looked at."""
        after: int | None = 0
        while after is not None:
            lines = await self._store.changes(after, _LINES)
            for line in lines:
                if line.type == type and line.method == "DELETE":
                    yield line
            after = lines[-1].stamp if len(lines) == _LINES else None
            await asyncio.sleep(0)  # a store may answer without waiting: others are let in between

    async def exists(self, select: Select) -> tuple[bool, Version | None]:
        """(whether a resource passes, one that the caller may see): for rules that hold for what is hidden too."""
        seen = (await self.select(select)).versions
        return bool(seen or (await self._store.select(select)).versions), seen[0] if seen else None

    async def created(self, versions: Sequence[Version]) -> frozenset[int]:
        """The stamps of those that brought a resource into being, or back after its deletion.

        A predecessor that is not among `versions` is looked up; only updates past version 1 ask for one.
        """
        here = {(v.type, v.id, v.version): v for v in versions}
        found = {v.stamp for v in versions if v.version == 1 and not v.deleted}
        for v in versions:
            if v.method != "PUT" or v.version == 1:
                continue
            before = here.get((v.type, v.id, v.version - 1)) or await self._store.get(v.type, v.id, v.version - 1)
            if before is not None and before.deleted:
                found.add(v.stamp)
        return frozenset(found)

    def _with_filter(self, type: str, test: Test) -> Test:
        guard = self._access.filter(type)
        test = self._guarded(test)
        return test if guard is None else All((test, guard))

    def _guarded(self, test: Test) -> Test:
        """The test, with the filter on what it meets beyond a link too: a chain shows no more than a read."""
        match test:
            case All(tests):
                return All(tuple(self._guarded(one) for one in tests))
            case Any(tests):
                return Any(tuple(self._guarded(one) for one in tests))
            case Not(inner):
                return Not(self._guarded(inner))
            case Linked() | Backlinked():
                return replace(test, test=self._with_filter(test.type, test.test))
            case _:
                return test

    async def _visible(self, version: Version) -> bool:
        guard = self._access.filter(version.type)
        if guard is None:
            return True
        number = version.version
        while not version.body:
            number -= 1
            before = await self._store.get(version.type, version.id, number) if number else None
            if before is None:
                return False
            version = before
        entries = index(orjson.loads(version.body), self._setting)
        return matches(guard, entries, id=version.id, stamp=version.stamp)
