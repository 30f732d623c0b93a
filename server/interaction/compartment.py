"""The records of owners' compartments, one after the other without repeats: a walk that stops and goes on anywhere
(https://hl7.org/fhir/R4/compartmentdefinition.html).

The order is that of the owners' chunks; in a chunk the owners come first and then type by type what belongs to them.
Each step is one select by the compartment's reference parameters, so it costs what it finds. Resources keep their
place in a select over updates, so nothing is missed or shown twice while others write.
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any as AnyValue
from typing import NamedTuple

import orjson

from server.interaction.access import Records
from server.interaction.owners import Owners
from server.keys import LINK, All, Any, Entry, Ids, Link, Not, Select, Stamped, Test, Version
from server.model import tables
from server.search.index import index
from server.search.kinds.kind import Setting
from server.search.match import matches


class Position(NamedTuple):
    """Where a walk stands: the chunk, what of it (0: the owners, n: the n-th type), and after which row of that."""

    mark: AnyValue = None
    stage: int = 0
    after: AnyValue = None


@dataclass(slots=True)
class Walk:
    """A walk over what belongs to the owners.

    types: what is shown. narrowed: a further test for records of a type. since: the least stamp shown.
    heads: `Type/id` of what the answer shows by itself and the walk leaves out (the Group that was asked for).
    """

    records: Records
    setting: Setting
    owners: Owners
    types: Sequence[str]
    narrowed: Callable[[str], Test | None]
    since: int = 0
    heads: Set[str] = frozenset()
    _chunk: tuple[AnyValue, list[Version], AnyValue] | None = None  # the last one read: mark, owners, next mark

    async def step(self, at: Position, limit: int) -> tuple[list[Version], Position | None]:
        """At most `limit` records from a position on, and the position after them (None: that was all)."""
        if self._chunk is None or self._chunk[0] != at.mark:
            self._chunk = (at.mark, *await self.owners.chunk(at.mark))
        _, owners, onward = self._chunk
        after: AnyValue
        if at.stage == 0:
            hits, after = self._owners(owners, at.after, limit)
        else:
            hits, after = await self._records(owners, at, limit)
        if after is not None:
            return hits, Position(at.mark, at.stage, after)
        stages = self._stages() if owners else []
        if at.stage < len(stages):
            return hits, Position(at.mark, at.stage + 1)
        return hits, Position(onward) if onward is not None else None

    def _stages(self) -> list[str]:
        return [type for type in self.types if self._codes(type)]

    def _codes(self, type: str) -> list[str]:
        return tables.compartment_references(self.owners.type, type)

    def _owners(self, owners: Sequence[Version], after: str | None, limit: int) -> tuple[list[Version], str | None]:
        if self.owners.type not in self.types:
            return [], None
        rest = [one for one in owners if (after is None or one.id > after) and one.stamp >= self.since]
        rest.sort(key=lambda one: one.id)
        return rest[:limit], rest[limit - 1].id if len(rest) > limit else None

    async def _records(
        self, owners: Sequence[Version], at: Position, limit: int
    ) -> tuple[list[Version], list[AnyValue] | None]:
        type = self._stages()[at.stage - 1]
        links = [Link(f"{type}.{c}", f"{self.owners.type}/{one.id}") for one in owners for c in self._codes(type)]
        tests: list[Test] = [Any(tuple(links))]
        if self.since:
            tests.append(Stamped(self.since))
        if (narrowed := self.narrowed(type)) is not None:
            tests.append(narrowed)
        elsewhere = {one.id for one in owners if one.type == type} | {
            id for kind, _, id in (head.partition("/") for head in self.heads) if kind == type
        }
        if elsewhere:
            tests.append(Not(Ids(tuple(sorted(elsewhere)))))
        after = tuple(at.after) if at.after is not None else None
        page = await self.records.select(Select(type, All(tuple(tests)), after=after, limit=limit))
        hits = await self._first_shown(page.versions, owners, at.mark) if self.owners.several else page.versions
        return hits, list(page.next) if page.next is not None else None

    async def _first_shown(self, hits: Sequence[Version], owners: Sequence[Version], mark: AnyValue) -> list[Version]:
        """Leaves out owners, which have their own place, and what an earlier chunk has shown already."""
        here = {one.id for one in owners}
        others = {hit: self.owned_by(hit) - here for hit in hits}
        earlier = await self.owners.before(set().union(*others.values()), mark) if others else set()
        owned = await self.owners.among({hit.id for hit in hits if hit.type == self.owners.type})
        return [
            hit for hit in hits if not others[hit] & earlier and not (hit.type == self.owners.type and hit.id in owned)
        ]

    def owned_by(self, version: Version) -> set[str]:
        """Ids of the owners' type that this record belongs to by its references, owners or not."""
        return self._owner_ids(version.type, index(orjson.loads(version.body), self.setting))

    def _owner_ids(self, type: str, entries: Sequence[Entry]) -> set[str]:
        params = {f"{type}.{code}" for code in self._codes(type)}
        prefix = f"{self.owners.type}/"
        return {
            entry.key.removeprefix(prefix)
            for entry in entries
            if entry.shape == LINK and entry.param in params and entry.key.startswith(prefix)
        }

    async def shows(self, versions: Sequence[Version]) -> set[Version]:
        """Those of the versions that are on this walk, `types` and `since` apart."""
        owned: dict[Version, set[str]] = {}
        for version in versions:
            if version.type == self.owners.type:
                owned[version] = {version.id}
            if self._codes(version.type):
                entries = index(orjson.loads(version.body), self.setting)
                test = self.narrowed(version.type)
                if test is None or matches(test, entries, id=version.id, stamp=version.stamp):
                    owned[version] = owned.get(version, set()) | self._owner_ids(version.type, entries)
        owners = await self.owners.among(set().union(*owned.values()) if owned else set())
        return {
            version
            for version in versions
            if f"{version.type}/{version.id}" in self.heads or owned.get(version, set()) & owners
        }
