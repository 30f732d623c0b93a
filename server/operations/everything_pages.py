"""The pages of $everything: which resources come next, and where the next page goes on.

No state is kept. First the matches are walked; then what they refer to is gathered from them once more and shown in the
order of Type/id. So each resource comes once however the pages are cut, and while others write.
"""

import asyncio
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from server.interaction.access import Records
from server.interaction.compartment import Position, Walk
from server.interaction.referred import Named, named_by, supporting
from server.keys import Version
from server.model import tables
from server.search.kinds.kind import Setting

WINDOW = 100_000  # matches after which what they refer to is shown: no page looks through many more


class State(NamedTuple):
    """Where the pages stand, as a page link carries it.

    at      where the walk goes on; None: it is at its end.
    window  the mark from which on references have not been shown yet; seen: matches shown since.
    key     None while matches are walked; else the last of what they refer to that was shown ('' for none).
    """

    at: Position | None = Position()
    window: Any = None
    seen: int = 0
    key: str | None = None

    def cursor(self) -> tuple[Any, ...]:
        return (tuple(self.at) if self.at is not None else None, *self[1:])


def state_of(cursor: Any) -> State:
    """The state that a page link carried."""
    at, *rest = cursor
    return State(Position(*at) if at is not None else None, *rest)


class Page(NamedTuple):
    matches: list[Version]
    included: list[Version]
    onward: State | None  # None: this was the last


@dataclass(slots=True)
class Reading:
    """types, since: what is shown of the whole answer. size: matches on a page; room: what they refer to on a page."""

    records: Records
    setting: Setting
    walk: Walk  # over all that belongs to the answer
    heads: Sequence[Version]
    types: Set[str]
    since: int
    size: int
    room: int
    batch: int  # resources of one select

    async def page(self, state: State) -> Page:
        found: list[Version] = []
        if state.key is None:
            if state == State():
                found = [one for one in self.heads if self._shown(one)]
            found, state = await self._matches(found, state)
            if state.key is None:
                return Page(found, [], state)
        whole = state.at is None and state.window is None and state.seen == len(found) and self._unfiltered()
        included = await self._referred(state, found if whole else None)
        rest = [one for one in included if _key(one) > (state.key or "")]
        if len(rest) > self.room:
            shown = rest[: self.room]
            return Page(found, shown, state._replace(key=_key(shown[-1])))
        return Page(found, rest, State(state.at, state.at.mark) if state.at is not None else None)

    # --------------------------------------------------------------------------------------------------- matches
    async def _matches(self, found: list[Version], state: State) -> tuple[list[Version], State]:
        """A page of them; the state has a key when it is time to show what they refer to.

        A full page looks on over empty stages, so that what follows the last match comes with it.
        """
        walk = replace(self.walk, types=[type for type in self.walk.types if type in self.types], since=self.since)
        at, window, seen, _ = state
        seen += len(found)
        while at is not None:
            if seen >= WINDOW and at == Position(at.mark) and at.mark != window:
                return found, State(at, window, seen, "")
            room = self.size - len(found)
            if room == 0 and at.after is not None:
                break
            hits, onward = await walk.step(at, min(room, self.batch) or 1)
            if room == 0 and hits:  # the page was full, and there is more: it comes on the next
                break
            found += hits
            seen += len(hits)
            at = onward
        return found, State(at, window, seen, "" if at is None else None)

    def _shown(self, version: Version) -> bool:
        return version.type in self.types and version.stamp >= self.since

    def _unfiltered(self) -> bool:
        return not self.since and self.types >= tables.resource_types()

    # ------------------------------------------------------------------------------------------ what they refer to
    async def _referred(self, state: State, here: Sequence[Version] | None) -> list[Version]:
        """What the matches of the window refer to, and is none itself, in the order of Type/id.

        `here`: the matches, when they are all at hand.
        """
        wanted: set[Named] = set()
        if here is not None:
            wanted |= named_by(here, self.setting)
        else:
            if state.window is None:
                wanted |= named_by(self.heads, self.setting)
            at: Position | None = Position(state.window)
            while at is not None and at != state.at:
                hits, at = await self.walk.step(at, self.batch)
                wanted |= named_by(hits, self.setting)
                await asyncio.sleep(0)  # others have their turn
        found = await supporting(self.records, self.setting, {one._replace(version=0) for one in wanted})
        # versions come as they are now, and once: a link may have named an old one
        current = {_key(one): one for one in found.values() if self._shown(one)}
        matches = {_key(one) for one in await self.walk.shows(list(current.values()))}
        return [current[key] for key in sorted(current) if key not in matches]


def _key(version: Version) -> str:
    return f"{version.type}/{version.id}"
