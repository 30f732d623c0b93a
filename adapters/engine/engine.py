"""The engine: contents are journalled before anything is answered, mapped in order, delivered by lanes, and told of."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from adapters.contract import Adapter, Parsed, Problem
from adapters.delivery import Delivery
from adapters.engine.cutting import cut
from adapters.engine.journal import Journal
from adapters.engine.journal_file import JournalError
from adapters.engine.lanes import Destination, Lane, Settled
from adapters.engine.loading import Loader
from adapters.engine.records import FINAL, Facts, Part, Received, Taken
from adapters.engine.retention import Retention, tidy
from adapters.kit.habits import Habits
from adapters.registry import choose
from adapters.runner import Conversion

_log = logging.getLogger(__name__)

INLINE_BYTES = 32 * 1024  # longer contents are cut into messages in a thread: others do not wait for them
BATCH = 64  # messages that are mapped in one turn
NAP_SECONDS = 0.5  # how late a replay by another process is noticed
TIDY_SECONDS = 60.0
STOP_SECONDS = 5.0
COMMIT_SECONDS = 60.0  # how long a sender of `ack = committed` waits for the destination


@dataclass(frozen=True, slots=True)
class Source:
    """Where messages come from. ack stored: answered when they are safe in the journal; committed: when every
    destination has them. `silence_after` seconds without a message raise an alarm; 0 = never."""

    name: str
    kind: str
    destinations: tuple[str, ...]
    ack: Literal["stored", "committed"] = "stored"
    adapter: str = ""
    habits: Habits = field(default_factory=Habits)
    silence_after: float = 0.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message of a content that is safe in the journal."""

    taken: Taken
    parsed: Parsed
    adapter: Adapter
    message: Received


@dataclass(slots=True)
class Outcome:
    """What became of a message. `again`: it was not delivered and its sender keeps it."""

    conversion: Conversion | None
    delivery: Delivery
    again: bool = False


@dataclass(slots=True)
class _Waiting:
    """`keeps`: those who wait keep the message when it cannot be delivered now."""

    done: "asyncio.Future[Outcome]"
    left: set[str]
    keeps: bool
    waiters: int = 1
    delivery: Delivery | None = None


class Engine:
    """`start` brings it to life; without it, tests call `map_received` and the lanes' `sweep` themselves, with a clock
    of their own."""

    def __init__(
        self,
        journal: Journal,
        sources: Sequence[Source],
        destinations: Sequence[Destination],
        *,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.journal, self.clock = journal, clock
        self.sources = {source.name: source for source in sources}
        self.loader = Loader(journal, {source.name: source.habits for source in sources})
        self._retention = retention or Retention()
        self._waiting: dict[int, _Waiting] = {}
        self._arrived = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.lanes = {
            one.name: Lane(one, journal, self.loader, clock, self._settled, self._kept) for one in destinations
        }

    # -------------------------------------------------------------------------------------------------- its life
    async def register(self) -> None:
        """Makes sources and destinations known to the journal, and ends the leases of a process that is gone."""
        sources = [(source.name, source.kind, source.silence_after) for source in self.sources.values()]
        destinations = [(lane.name, lane.sender.base) for lane in self.lanes.values()]
        await self.journal.register(sources, destinations, self.clock())
        if ended := await self.journal.release():
            _log.warning("journal: %d deliveries of a process that is gone are taken up again", ended)

    async def start(self) -> None:
        await self.register()
        loops = [self._mapping(), self._watching(), *(lane.run() for lane in self.lanes.values())]
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    async def stop(self) -> None:
        """Ends what is under way within seconds; what is not delivered stays in the journal."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in self.lanes.values():
            await lane.stop(STOP_SECONDS)
        for waiting in self._waiting.values():
            waiting.done.cancel()
        self._waiting.clear()

    # ------------------------------------------------------------------------------------------------- what comes
    async def take(
        self,
        source: str,
        content: bytes,
        name: str = "",
        adapter: str = "",
        broken: str = "",
        parsed: list[Parsed] | None = None,
    ) -> list[Arrival]:
        """The messages of a content, in their order; all of them are on disk when this returns.

        `broken` says why the content is no whole message; `parsed` are its messages, if the caller has cut it already.
        Raises NoAdapter, JournalError.
        """
        rules = self.sources[source]
        chosen = choose(content, name, adapter or rules.adapter)
        if broken:
            parsed = [Parsed(content, "", None)]
        work = partial(cut, chosen, content, name, parsed, rules.habits)
        messages, parts = await asyncio.to_thread(work) if len(content) > INLINE_BYTES else work()
        taken = await self.journal.take(source, chosen.name, name, content, broken, parts, self.clock())
        self._arrived.set()
        return [
            Arrival(one, message, chosen, Received(one.id, source, 0, number))
            for number, (one, message) in enumerate(zip(taken, messages, strict=True))
        ]

    async def keep(self, source: str, content: bytes, name: str) -> None:
        """A content that no adapter reads: it is kept as a dead letter, to be replayed when one does."""
        part = Part(hashlib.sha256(content).digest(), "", None)
        await self.journal.take(source, self.sources[source].adapter, name, content, "", [part], self.clock())
        self._arrived.set()

    async def outcomes(self, arrivals: Sequence[Arrival], wait: float = COMMIT_SECONDS) -> list[Outcome]:
        """What becomes of messages at their destinations, within `wait` seconds. One that cannot be delivered now is
        withdrawn (`again`): its sender is to send it again."""
        for arrival in arrivals:
            self._expect(arrival, keeps=True)
        return [await self._outcome(arrival, wait) for arrival in arrivals]

    async def ending(self, arrival: Arrival) -> Outcome:
        """What became of a message when it has come to its end, however long that takes."""
        self._expect(arrival, keeps=False)
        return await self._outcome(arrival, None)

    def _expect(self, arrival: Arrival, keeps: bool) -> None:
        left = set(self.sources[arrival.message.source].destinations)
        known = self._waiting.get(arrival.taken.id)
        if known is None:
            done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            self._waiting[arrival.taken.id] = _Waiting(done, left, keeps)
        else:
            known.keeps, known.waiters = known.keeps or keeps, known.waiters + 1

    async def _outcome(self, arrival: Arrival, wait: float | None) -> Outcome:
        id = arrival.taken.id
        waiting = self._waiting[id]
        try:
            if self.journal.state(id) in FINAL and not self.journal.under_way(id):
                return await self._past(id)
            self._arrived.set()
            if waiting.keeps:
                for name in waiting.left:
                    self.lanes[name].nudge()
            async with asyncio.timeout(wait):
                outcome = await asyncio.shield(waiting.done)
        except TimeoutError:
            problem = Problem("error", "transient", f"not delivered within {wait:.0f} seconds")
            outcome = Outcome(None, Delivery("again", problems=[problem]), again=True)
        finally:
            waiting.waiters -= 1
            if not waiting.waiters:
                self._waiting.pop(id, None)
        if outcome.again:
            why = next((problem.text for problem in outcome.delivery.problems), "")
            await self.journal.withdraw(id, f"its sender was told to send it again: {why}", self.clock())
        return outcome

    async def _past(self, id: int) -> Outcome:
        """The outcome of a message that came to its end before."""
        loaded = await asyncio.to_thread(self.loader.load, self.journal.find(id))
        return Outcome(loaded.conversion, self.journal.past(id))

    # ---------------------------------------------------------------------------------------------------- mapping
    async def map_received(self) -> int:
        """Maps what waits, in the order of arrival; how many."""
        waiting = self.journal.received(BATCH)
        if not waiting:
            return 0
        found = await asyncio.to_thread(self._map, waiting)
        destinations = {source.name: source.destinations for source in self.sources.values()}
        await self.journal.mapped(found, destinations, self.clock())
        for facts in found:
            if facts.fault is not None:
                # Why stands in the journal: it may speak of a patient, which a log must not.
                _log.warning(
                    "journal: message %d of %s is a dead letter (%s)", facts.id, facts.source, facts.fault.code
                )
            if facts.id in self._waiting and not self.journal.under_way(facts.id):
                self._resolve(facts.id, await self._past(facts.id))
        for lane in self.lanes.values():
            lane.wake.set()
        return len(found)

    def _map(self, waiting: Sequence[Received]) -> list[Facts]:
        """In a thread."""
        found = []
        for message in waiting:
            loaded = self.loader.load(message, anew=True)
            conversion = loaded.conversion
            if conversion is None or conversion.mapped is None:
                problems = [loaded.fault] if loaded.fault else conversion.problems if conversion else []
                version = conversion.adapter.version if conversion else ""
                found.append(Facts(message.id, message.source, "unreadable", "", version, _fault(problems)))
                continue
            mapped = conversion.mapped
            fault = _fault(conversion.problems) if conversion.failed else None
            version = conversion.adapter.version
            patients = tuple(item.key for item in mapped.items if item.resource.get("resourceType") == "Patient")
            found.append(Facts(message.id, message.source, mapped.kind, mapped.subject, version, fault, patients))
        return found

    async def _mapping(self) -> None:
        while True:
            self._arrived.clear()
            try:
                while await self.map_received():
                    pass
            except JournalError as error:
                _log.error("journal: %s", error)
            try:
                async with asyncio.timeout(NAP_SECONDS):
                    await self._arrived.wait()
            except TimeoutError:
                pass

    # ------------------------------------------------------------------------------------------- what lanes tell
    def _kept(self, id: int) -> bool:
        """Whether the sender of a message waits, to keep it if it fails."""
        return id in self._waiting and self._waiting[id].keeps

    def _settled(self, settled: Settled) -> None:
        delivery = settled.delivery
        if delivery.status == "again":
            self._turned_away(settled)
            return
        self.loader.forget(settled.message)
        waiting = self._waiting.get(settled.message)
        if waiting is None:
            return
        waiting.left.discard(settled.destination)
        if waiting.delivery is None or delivery.status == "refused":
            waiting.delivery = delivery
        if not waiting.left:
            self._resolve(settled.message, Outcome(settled.loaded.conversion, waiting.delivery))

    def _turned_away(self, settled: Settled) -> None:
        """A destination out of reach lets nobody wait for it who can keep the message."""
        for id, waiting in self._waiting.items():
            here = id == settled.message or (not settled.delivery.reached and settled.destination in waiting.left)
            if waiting.keeps and here:
                self._resolve(id, Outcome(settled.loaded.conversion, settled.delivery, again=True))

    def _resolve(self, id: int, outcome: Outcome) -> None:
        waiting = self._waiting.get(id)
        if waiting is not None and not waiting.done.done():
            waiting.done.set_result(outcome)

    # --------------------------------------------------------------------------------------------------- watching
    async def watch(self) -> None:
        """Raises the alarm for sources that have fallen silent."""
        for name, last in await self.journal.silent(self.clock()):
            minutes = (self.clock() - last) / 60
            _log.warning("ALARM: source %s is silent: its last message came %.0f minutes ago", name, minutes)

    async def _watching(self) -> None:
        tidied = 0.0
        while True:
            try:
                await self.watch()
                if time.monotonic() - tidied > TIDY_SECONDS:
                    tidied = time.monotonic()
                    await tidy(self.journal, self._retention, self.clock())
            except JournalError as error:
                _log.error("journal: %s", error)
            await asyncio.sleep(NAP_SECONDS)


def _fault(problems: Sequence[Problem]) -> Problem:
    found = (problem for problem in problems if problem.severity in ("fatal", "error"))
    return next(found, Problem("fatal", "structure", "the message could not be read"))
