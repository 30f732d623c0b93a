"""Who asks, and how: a Context goes with every read, search and write."""

from dataclasses import dataclass
from typing import Protocol

from server.keys import Test


class Access(Protocol):
    """What a caller may see: a test for each type, ANDed into every select; None = everything of the type.

    It speaks of a resource's own entries: old versions are judged by it, which have no links into today's store.
    """

    def filter(self, type: str) -> Test | None: ...


class Everything:
    """No limits: the access of a server without authentication on loopback."""

    def filter(self, type: str) -> Test | None:
        return None


EVERYTHING = Everything()


@dataclass(frozen=True, slots=True)
class Context:
    """One caller's request. `base` is the FHIR base URL that the caller used, without a slash at the end.

    `lenient`: `Prefer: handling=lenient`, unknown search parameters are left out instead of refused.
    """

    base: str
    access: Access = EVERYTHING
    lenient: bool = False
