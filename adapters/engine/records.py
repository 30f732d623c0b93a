"""What is kept of a message on its way, as plain values: states, a received part, a claim, an outcome.

received --mapped--> mapped --all destinations have it--> delivered
    |                  |--a destination refuses its content, or gives up--> dead
    |--it cannot be converted--> dead (its raw bytes and the reason are still delivered)
any of them --a correction or a newer version of it comes--> replaced
dead, delivered, replaced --tiercare journal replay, or the sender sends a dead one again--> received
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from adapters.contract import Problem
from adapters.delivery import Written

State = Literal["received", "mapped", "delivered", "dead", "replaced"]
STATES: tuple[State, ...] = ("received", "mapped", "delivered", "dead", "replaced")
FINAL: tuple[State, ...] = ("delivered", "dead", "replaced")


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a content as it comes in: `hash` tells it from all others of its source, `identity` is its
    sender's name for it ('' = none), `sent` when the sender says it was sent (seconds since 1970, None = unsaid)."""

    hash: bytes
    identity: str
    sent: float | None


@dataclass(frozen=True, slots=True)
class Taken:
    """A part that is safe in the journal. `fresh` False: it was there already."""

    id: int
    state: State
    fresh: bool


@dataclass(frozen=True, slots=True)
class Received:
    """Where a message's bytes are: part number `part` of a content, read by `adapter` ('' = the one that knows it)."""

    id: int
    source: str
    content: int
    part: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What mapping found out about a message. `fault` is the problem that makes it a dead letter. `keys` are those of
    further patients: a merge speaks of two."""

    id: int
    source: str
    kind: str
    key: str  # messages with one key keep their order; '' = it has no place in any order
    version: str
    fault: Problem | None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that is ours until its lease ends. `digest`: of what the destination has stored of it already."""

    message: Received
    destination: str
    attempts: int
    token: str
    digest: bytes | None
    answered: float | None  # when the destination first answered it with a fault of its own


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a claim.

    stored    the destination has it. refused: never as it is. again: not now, `due` says when. withdrawn: its sender
              was told that it is not taken. gone: there is nothing to deliver any more.
    """

    state: Literal["stored", "refused", "again", "withdrawn", "gone"]
    digest: bytes | None = None
    written: list[Written] = field(default_factory=list)
    problem: Problem | None = None
    due: float = 0.0
    answered: float | None = None
    newest: list[tuple[bytes, float]] = field(default_factory=list)  # resource, its message's time


def seconds(when: str) -> tuple[float, float] | None:
    """A FHIR dateTime as the first and the last second that it may mean; None for '' or what is none.

    A date means all of its day anywhere on earth: what is only known to the day is not older than the same day.
    """
    try:
        if "T" in when:
            at = datetime.fromisoformat(when.replace("Z", "+00:00")).timestamp()
            return at, at
        year, month, day = [*(int(part) for part in when.split("-")), 0, 0][:3]
        first = datetime(year, month or 1, day or 1, tzinfo=UTC)
        days = 1 if day else 31 if month else 366
        return (first - timedelta(hours=14)).timestamp(), (first + timedelta(days=days, hours=12)).timestamp()
    except (ValueError, OverflowError):
        return None
