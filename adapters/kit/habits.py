"""What is known about a source beyond its messages: the zone its clocks are in, the charset it writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Habits:
    """zone: of times that carry none (Chinese standard time). charset: of messages that declare none, '' = unknown."""

    zone: str = "+08:00"
    charset: str = ""


_HABITS: ContextVar[Habits] = ContextVar("habits", default=Habits())  # noqa: B039, frozen


def habits() -> Habits:
    """Those of the source whose message is being read."""
    return _HABITS.get()


@contextmanager
def of_source(known: Habits) -> Iterator[None]:
    """Everything read or mapped inside the block comes from a source with these habits."""
    token = _HABITS.set(known)
    try:
        yield
    finally:
        _HABITS.reset(token)
