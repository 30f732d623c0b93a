"""One lane a destination: claims what is due, delivers it in its own threads, backs off, waits for no other lane."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from adapters.contract import Problem
from adapters.delivery import Delivery
from adapters.engine.freshness import digest, left_alone, times, withhold
from adapters.engine.journal import Journal
from adapters.engine.journal_file import JournalError
from adapters.engine.loading import Loaded, Loader
from adapters.engine.records import Claim, Result
from adapters.runner import Conversion

AHEAD = 2  # claims for each thread: one under way, one that waits for it
SETTLING_SECONDS = (0.1, 1.0, 5.0)  # pauses when a full disk does not take an outcome
TROUBLE = 3  # messages in a row that a destination answers with a fault of its own, until it is left alone


class Sender(Protocol):
    """What a lane needs of a destination; `adapters.delivery.Target` is one."""

    base: str

    def deliver(self, conversion: Conversion) -> Delivery: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Retry:
    """Seconds: the first wait, the longest one of a message and of a whole destination, and how long a message is tried
    that the destination answers with a fault of its own (5xx). A destination out of reach is tried for ever."""

    first: float = 1.0
    longest: float = 3600.0
    pause: float = 60.0
    give_up: float = 14 * 86400.0

    def wait(self, failures: int) -> float:
        """Doubling from the first wait on; `failures` counts from 1."""
        return float(min(self.longest, self.first * 2.0 ** min(failures - 1, 40)))


@dataclass(frozen=True, slots=True)
class Destination:
    """Where messages go: what sends there, how patiently, and how many messages at a time."""

    name: str
    sender: Sender
    retry: Retry = field(default_factory=Retry)
    parallel: int = 4


@dataclass(frozen=True, slots=True)
class Settled:
    """What a lane tells: the outcome of one attempt at one message."""

    message: int
    destination: str
    loaded: Loaded
    delivery: Delivery


class Lane:
    """`wanted` tells whether somebody waits for the outcome of a message, who then keeps it when it fails."""

    def __init__(
        self,
        destination: Destination,
        journal: Journal,
        loader: Loader,
        clock: Callable[[], float],
        told: Callable[[Settled], None],
        wanted: Callable[[int], bool],
    ) -> None:
        self.name, self.sender = destination.name, destination.sender
        self.retry, self.parallel = destination.retry, destination.parallel
        self.wake = asyncio.Event()
        self.failures = 0
        self.paused_until = 0.0
        self._trouble = 0
        self._journal, self._loader, self._clock, self._told, self._wanted = journal, loader, clock, told, wanted
        self._threads = ThreadPoolExecutor(self.parallel, thread_name_prefix=f"to {self.name}")
        self._under_way: set[asyncio.Task[None]] = set()

    # -------------------------------------------------------------------------------------------------- the loop
    async def run(self, longest_nap: float = 0.5) -> None:
        """Sweeps until it is cancelled. The nap is how late another process's replay is noticed."""
        while True:
            self.wake.clear()
            try:
                await self.sweep()
            except JournalError:  # the disk is full or busy: what is claimed already comes back with its lease
                await asyncio.sleep(longest_nap)
            try:
                async with asyncio.timeout(longest_nap):
                    await self.wake.wait()
            except TimeoutError:
                pass

    async def sweep(self) -> int:
        """Claims what is due and starts to deliver it; how many. One at a time to a destination that failed last."""
        now = self._clock()
        if self.paused_until > now:
            return 0
        free = (1 if self.failures else AHEAD * self.parallel) - len(self._under_way)
        if free <= 0:
            return 0
        claims = await self._journal.claim(self.name, free, now)
        for claim in claims:
            task = asyncio.create_task(self._one(claim))
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        return len(claims)

    async def idle(self) -> None:
        """Until nothing is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def stop(self, seconds: float) -> None:
        """Waits for what is under way; what takes longer is left to its lease."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def nudge(self) -> None:
        """Somebody waits: a destination that is left alone gets one more try at once."""
        self.paused_until = 0.0
        self.wake.set()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self.wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"a delivery to {self.name} broke off; it is tried again", "exception": error}
            )

    # ------------------------------------------------------------------------------------------------ one message
    async def _one(self, claim: Claim) -> None:
        loop = asyncio.get_running_loop()
        loaded, delivery, result = await loop.run_in_executor(self._threads, self._try, claim)
        now = self._clock()
        if delivery.status == "again":
            result = self._failed(claim, delivery, now)
        mine = await self._settle(claim, result, now)
        if delivery.status == "again":
            await self._pause(delivery, now)
        elif self.failures or self._trouble:
            recovered, self.failures, self._trouble = self.failures > 0, 0, 0
            if recovered:
                await self._journal.reach(self.name, 0, 0.0, "")
        if mine:
            self._told(Settled(claim.message.id, self.name, loaded, delivery))

    def _try(self, claim: Claim) -> tuple[Loaded, Delivery, Result]:
        try:
            return self._deliver(claim)
        except JournalError:
            raise
        except Exception as error:  # ours or the adapter's mistake: this message waits, the others go on
            problem = Problem("error", "exception", f"the delivery broke off: {type(error).__name__}: {error}")
            return Loaded(None, 0.0), Delivery("again", problems=[problem]), Result("again")

    def _deliver(self, claim: Claim) -> tuple[Loaded, Delivery, Result]:
        """In a thread: what became of the message, and how it is written down."""
        loaded = self._loader.load(claim.message)
        conversion = loaded.conversion
        if conversion is None:
            return loaded, Delivery("refused", problems=[loaded.fault] if loaded.fault else []), Result("gone")
        made = digest(conversion)
        if made == claim.digest:  # it is there already, as it would be sent now
            return loaded, Delivery("stored"), Result("stored", made)
        about = times(conversion, loaded.arrived)
        newer = self._journal.newer(self.name, [(resource, last) for _, resource, _, last in about])
        stale = [item for item, resource, _, _ in about if resource in newer]
        delivery = self.sender.deliver(withhold(conversion, stale))
        if delivery.status == "stored":
            delivery.written += left_alone(stale, self.sender.base)
        newest = [(resource, first) for _, resource, first, _ in about if resource not in newer]
        if delivery.status == "stored":
            return loaded, delivery, Result("stored", made, delivery.written, newest=newest)
        return loaded, delivery, Result("refused", written=delivery.written, problem=_first(delivery))

    def _failed(self, claim: Claim, delivery: Delivery, now: float) -> Result:
        problem = _first(delivery)
        if self._wanted(claim.message.id):
            return Result("withdrawn", problem=_but(problem, "not delivered when it came, and its sender was told so"))
        answered = claim.answered or (now if delivery.reached else None)
        if delivery.reached and claim.answered and now - claim.answered > self.retry.give_up:
            why = f"given up after {claim.attempts + 1} tries in {(now - claim.answered) / 86400:.0f} days"
            return Result("refused", problem=_but(problem, why))
        wait = self.retry.wait(claim.attempts + 1)
        if not delivery.reached:  # the lane itself is left alone; the next try may be another message's
            wait = min(wait, self.retry.pause)
        return Result("again", problem=problem, due=now + wait, answered=answered)

    async def _settle(self, claim: Claim, result: Result, now: float) -> bool:
        for pause in SETTLING_SECONDS:
            try:
                return await self._journal.settle(claim, result, now)
            except JournalError:
                await asyncio.sleep(pause)
        return True  # the lease ends, it is delivered again, and the destination finds nothing new in it

    async def _pause(self, delivery: Delivery, now: float) -> None:
        self._trouble += 1
        if delivery.reached and self._trouble < TROUBLE:
            return
        self.failures += 1
        self.paused_until = now + min(self.retry.pause, self.retry.wait(self.failures))
        await self._journal.reach(self.name, self.failures, self.paused_until, _first(delivery).text)


def _first(delivery: Delivery) -> Problem:
    found = (problem for problem in delivery.problems if problem.severity in ("fatal", "error"))
    return next(found, Problem("error", "processing", "the destination gave no reason"))


def _but(problem: Problem, why: str) -> Problem:
    return Problem(problem.severity, problem.code, f"{why}: {problem.text}", problem.field, problem.line)
