"""The store port: eight calls to serve with, two to move, one to erase. It knows keys and bytes, never FHIR.

A backend is one folder beside this file, opened by entry point (`tiercare.stores`, see opening.py), and passes
`tests/contract` as it is; what it cannot do it says in `abilities`, and the suite reads only that.
"""

from collections.abc import Sequence
from typing import Protocol

from server.errors import TooCostly
from server.keys import Adoption, Change, Holding, Page, Reentry, Removal, Select, Test, Version, Write

QUERY_TIMEOUT = 10.0  # seconds a search or a count may take, when nothing else is said
MULTI_PROCESS = "multi-process"  # several server processes may write one store
PLANS = "plans"  # plan tests (index used, no sort in memory) mean something on this backend


def out_of_time(seconds: float) -> TooCostly:
    """What a read that took longer than it may is answered with."""
    return TooCostly(
        f"the query took longer than {seconds:g} s (query_timeout): narrow it, or ask for fewer at a time",
        code="timeout",
    )


class Store(Protocol):
    """Versions, their index entries, and one ordered sequence of changes."""

    name: str
    abilities: frozenset[str]

    async def get(self, type: str, id: str, version: int | None = None) -> Version | None:
        """The current version, or the given one; a deletion is a Version too. None: never there."""
        ...

    async def commit(self, writes: Sequence[Write]) -> list[Version]:
        """All writes or none, durable when it returns; each write gets its own stamp, in the order given.

        Raises StaleWrite or Claimed (the first that fails) when a precondition does not hold, and Conflict
        (errors.py) when the store gave up after retrying a transient clash, or when one (type, id) stands twice.
        """
        ...

    async def select(self, select: Select) -> Page:
        """At most `limit` hits after the cursor. A cursor made by another store or for other sorts is Invalid."""
        ...

    async def count(self, type: str, test: Test) -> int:
        """How many current resources of the type pass the test."""
        ...

    async def history(self, type: str | None, id: str | None, before: int | None, limit: int) -> list[Version]:
        """Versions with stamp < before (None: from the newest), newest first; of all types when type is None.

        A limit of 0 is an empty list, here and in `changes`.
        """
        ...

    async def changes(self, after: int, limit: int) -> list[Change]:
        """The change sequence past a stamp, oldest first. A later call never shows a change before one shown here."""
        ...

    async def reindex(self, entries: Sequence[Reentry]) -> int:
        """Replaces index entries of current versions that are still at `version`; how many were replaced."""
        ...

    # ------------------------------------------- erasing (docs/decisions/0011-what-expunge-leaves.md)
    async def expunge(self, removals: Sequence[Removal], writes: Sequence[Write] = ()) -> list[Version]:
        """Commits the writes, then takes versions away for good, with their lines of the change sequence; all or none.

        A current version cannot go: one that the writes replace can. So no resource vanishes without a later line in
        the sequence, and stamps never go back. Gives the versions that the writes made. Raises as `commit` does, and
        StaleWrite when a version to remove is not there or would be current.
        """
        ...

    # ------------------------------------------- moving (docs/decisions/0007-moving-between-stores.md)
    async def adopt(self, adoptions: Sequence[Adoption], holdings: Sequence[Holding] = ()) -> None:
        """Takes over versions as they are, all or none, then claims; a holder that does not live here is left out.

        Versions come in the order of their stamps, all later than everything in this store, so that the change
        sequence is theirs; a stamp given afterwards is later than all of them. Raises StaleWrite when a number is not
        above the one that is here, Conflict when a stamp is not, or when another process that gives stamps has this
        store open (also with nothing to adopt: so a caller can ask beforehand).
        """
        ...

    async def holdings(self, after: str, limit: int) -> list[Holding]:
        """The claims past `after`, in the order of their keys (code points)."""
        ...

    async def close(self) -> None:
        """Finishes commits under way, then lets go of files and connections."""
        ...
