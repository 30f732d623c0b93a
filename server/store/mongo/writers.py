"""Writer numbers and stamps of one process, and the horizon up to which the change sequence is complete.

Several processes write one database without a shared counter (one would make every commit clash with every other).
Each leases a number, which is the low 8 bits of its stamps, so stamps never meet. The price is that a stamp can become
visible after a later one of another process. `changes` is therefore read only up to a horizon below which nothing can
appear any more, and the horizon is exact, not a margin:

- Of this process it is known at any moment: below the first stamp of the commits under way.
- Every process publishes the same number as the `floor` of its lease each HEARTBEAT, and by publishing it promises
  never to use a stamp at or below it. So the feed lags behind other processes by one HEARTBEAT.
- A process that joins first shows a floor of 0, which stops all horizons, and only then reads how far they are.
- A process that dies holds the feed back until its LEASE is over. A commit starts only while the lease outlasts the
  longest commit, so nothing of a lapsed writer appears late.
"""

import asyncio
import logging
import time
from uuid import uuid4

from pymongo.errors import DuplicateKeyError, PyMongoError

from server.errors import Conflict, TiercareError, Unavailable
from server.keys import next_stamp
from server.store.mongo.connection import Connection, reaching
from server.store.mongo.limits import COMMIT, HEARTBEAT, LEASE, WRITERS

_log = logging.getLogger(__name__)
_OUTLAST = COMMIT + 2.0  # seconds of lease a commit must have before it
# the server's clock, the same for all; as numbers, because stand-ins compare dates with $$NOW wrongly
_NOW = {"$toLong": "$$NOW"}
_UNTIL = {"$add": [_NOW, int(LEASE * 1000)]}
_LIVE = {"$expr": {"$gt": ["$until", _NOW]}}
_OVER = {"$expr": {"$lte": ["$until", _NOW]}}


class Writers:
    """The stamps of this process. `commits` are the ones under way: token -> a stamp below all of theirs."""

    def __init__(self, connection: Connection) -> None:
        self._leases = connection.documents["writers"]._get_collection()
        self._hist = connection.documents["hist"]._get_collection()
        self._owner = uuid4().hex
        self._number = -1
        self._last = 0
        self._renewed = 0.0  # time.monotonic() when the last renewal was sent
        self._commits: dict[object, int] = {}
        self._beating: asyncio.Task[None] | None = None
        self._closing = False

    # ------------------------------------------------------------------------------------------------ stamps
    def begin(self, token: object) -> None:
        """A commit is about to take stamps: from here the horizon stays below them, until `end`."""
        if time.monotonic() > self._renewed + LEASE - _OUTLAST:
            raise Unavailable("the database did not answer for so long that the writer number lapsed: try again")
        self._commits[token] = self._last

    def stamp(self, previous: int) -> int:
        """A new stamp, after all of this process and after `previous` (of the version it replaces)."""
        stamp = next_stamp(max(self._last, previous))
        self._last = stamp + (self._number - stamp) % WRITERS
        return self._last

    def end(self, token: object) -> None:
        self._commits.pop(token, None)

    def end_later(self, token: object) -> None:
        """For a commit whose outcome is unknown: it may still become visible while the server's limit runs."""
        asyncio.get_running_loop().call_later(COMMIT, self.end, token)

    # ---------------------------------------------------------------------------------------------- adoption
    async def check_alone(self) -> None:
        """Raises Conflict when another process has the database open: it may have shown or given later stamps."""
        async for lease in self._leases.find({"$and": [_LIVE, {"owner": {"$ne": self._owner}}]}):
            raise Conflict(
                f"another process has this database open (writer number {int(lease['_id'])}; "
                f"one that was killed counts for {LEASE:.0f} s): stop it first"
            )

    def reached(self, stamp: int) -> None:
        """A version with this stamp was adopted: ours come after it."""
        self._last = max(self._last, stamp)

    # ----------------------------------------------------------------------------------------------- horizon
    async def horizon(self) -> int:
        """The stamp up to which the change sequence is complete, now and for ever. Unavailable: our lease is over."""
        top = await self._top()
        own = self._floor(top)
        # after our own floor: who is not among them yet will read a top that covers all we are going to show
        floors = {lease["owner"]: int(lease["floor"]) async for lease in self._leases.find(_LIVE)}
        if floors.pop(self._owner, None) is None:
            raise Unavailable("the writer number of this process lapsed: try again")
        return min([own, *floors.values()])

    def _floor(self, seen: int = 0) -> int:
        """Nothing of this process appears at or below it any more; idle, it moves up with the clock."""
        if self._commits:
            return min(self._commits.values())
        self._last = max(self._last, seen, next_stamp(self._last) - 1)
        return self._last

    async def _top(self) -> int:
        newest = await self._hist.find_one({}, {"u": 1}, sort=[("u", -1)])
        return int(newest["u"]) if newest else 0

    # ------------------------------------------------------------------------------------------------ leases
    async def open(self) -> None:
        with reaching():
            await self._take()
        self._beating = asyncio.create_task(self._beat(), name="tiercare-writer-lease")

    async def close(self) -> None:
        """Gives the number back, so that nobody waits for the lease. No commit may be under way."""
        self._closing = True  # the driver may swallow a cancellation that meets it at work
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        with reaching():
            await self._leases.delete_one({"_id": self._number, "owner": self._owner})

    async def _take(self) -> None:
        self._owner = uuid4().hex
        for number in range(WRITERS):
            sent = time.monotonic()
            if await self._claim(number):
                self._number = number
                break
        else:
            raise Unavailable(f"{WRITERS} processes write this database already")
        floors = [lease["floor"] async for lease in self._leases.find({})]
        self._last = max(self._last, await self._top(), *floors)
        self._renewed = sent
        await self._renew()

    async def _claim(self, number: int) -> bool:
        """Takes a number that is free, or whose lease is over. Until the first renewal it holds all horizons back."""
        lease = [{"$set": {"owner": self._owner, "until": _UNTIL, "floor": 0}}]
        try:
            await self._leases.update_one({"_id": number, "owner": self._owner}, lease, upsert=True)
            return True
        except DuplicateKeyError:
            return bool((await self._leases.update_one({"_id": number, **_OVER}, lease)).matched_count)

    async def _renew(self) -> None:
        sent, floor = time.monotonic(), self._floor()
        mine = {"_id": self._number, "owner": self._owner}
        renewed = await self._leases.update_one(mine, [{"$set": {"until": _UNTIL, "floor": floor}}])
        if renewed.matched_count:
            self._renewed = sent
        else:
            _log.warning("writer number %d lapsed and was taken over", self._number)
            await self._take()

    async def _beat(self) -> None:
        while not self._closing:
            await asyncio.sleep(HEARTBEAT)
            try:
                with reaching():
                    await self._renew()
            except (PyMongoError, TiercareError) as error:
                _log.warning("could not renew writer number %d: %s", self._number, error)
