"""Whose compartments are read: one resource, the members of a Group, or every patient; in chunks, without memory.

A mark is where a chunk begins (None: at the first), such that JSON can carry it in a page link.
"""

import bisect
from collections.abc import Set
from dataclasses import dataclass
from typing import Any, Protocol

from server.interaction.access import Records
from server.keys import Ids, Select, Version

CHUNK = 20  # owners whose compartments are read together


class Owners(Protocol):
    """`type` is also the code of the compartment. Only what the caller may see is an owner."""

    @property
    def type(self) -> str: ...

    @property
    def several(self) -> bool:
        """There may be more than one chunk."""
        ...

    async def chunk(self, mark: Any) -> tuple[list[Version], Any]:
        """The owners from a mark on, and the mark of the next chunk (None: that was the last)."""
        ...

    async def among(self, ids: Set[str]) -> set[str]:
        """Those of the ids that are owners."""
        ...

    async def before(self, ids: Set[str], mark: Any) -> set[str]:
        """Those of the ids that are owners in a chunk before this mark."""
        ...


@dataclass(frozen=True, slots=True)
class One:
    owner: Version
    several: bool = False

    @property
    def type(self) -> str:
        return self.owner.type

    async def chunk(self, mark: Any) -> tuple[list[Version], Any]:
        return [self.owner], None

    async def among(self, ids: Set[str]) -> set[str]:
        return {self.owner.id} & ids

    async def before(self, ids: Set[str], mark: Any) -> set[str]:
        return set()


class Members:
    """Patients by id, in the order of their ids: members that come and go do not move the others."""

    type, several = "Patient", True

    def __init__(self, records: Records, ids: Set[str]) -> None:
        self._records, self._ids = records, sorted(ids)

    async def chunk(self, mark: Any) -> tuple[list[Version], Any]:
        start = bisect.bisect_right(self._ids, mark) if mark is not None else 0
        some = self._ids[start : start + CHUNK]
        onward = some[-1] if start + CHUNK < len(self._ids) else None
        return await _visible(self._records, set(some)), onward

    async def among(self, ids: Set[str]) -> set[str]:
        return {one.id for one in await _visible(self._records, ids & set(self._ids))}

    async def before(self, ids: Set[str], mark: Any) -> set[str]:
        return await self.among({id for id in ids if mark is not None and id <= mark})


@dataclass(frozen=True, slots=True)
class EveryPatient:
    """All patients, in the store's own order, which a patient keeps over updates."""

    records: Records
    type: str = "Patient"
    several: bool = True

    async def chunk(self, mark: Any) -> tuple[list[Version], Any]:
        page = await self.records.select(Select(self.type, after=tuple(mark) if mark else None, limit=CHUNK))
        return page.versions, list(page.next) if page.next is not None else None

    async def among(self, ids: Set[str]) -> set[str]:
        return {one.id for one in await _visible(self.records, ids)}

    async def before(self, ids: Set[str], mark: Any) -> set[str]:
        if mark is None or not ids:
            return set()
        after = Select(self.type, Ids(tuple(sorted(ids))), after=tuple(mark), limit=len(ids))
        return await self.among(ids) - {one.id for one in (await self.records.select(after)).versions}


async def _visible(records: Records, ids: Set[str]) -> list[Version]:
    if not ids:
        return []
    return (await records.select(Select("Patient", Ids(tuple(sorted(ids))), limit=len(ids)))).versions
