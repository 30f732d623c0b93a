"""The words that search, interactions and stores share: stamps, index entries, tests, selects, writes, versions.

Nothing here knows FHIR, HTTP or a database. A store sees only keys and bytes.

Index entries come in five shapes; a search kind of FHIR is mapped to one of them in `search/kinds`:

    term   a code within a scope (token, uri)                  key=code      scope=system, '' = none
    text   a normalised string, found by prefix (string)       key=normal    scope=the text as written
    link   a reference to another resource or URL (reference)  key=Type/id, absolute URL or canonical
    span   a range of int64 (date, number, quantity)           key=unit, '' for dates    low..high inclusive
    word   a word of a text (_text, _content)                  key=word, rank 0 always; never sorted by
"""

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

TERM, TEXT, LINK, SPAN, WORD = "term", "text", "link", "span", "word"

# ----------------------------------------------------------------------------------------------- stamps
# A stamp is one unique, growing int64 for every write: 41 bits of milliseconds since the epoch, then 22 bits of
# writer and counter. It is lastUpdated, `_lastUpdated` sort key, keyset cursor and place in the change sequence in one.
STAMP_BITS = 22


def stamp_of(milliseconds: int, low_bits: int = 0) -> int:
    """The smallest stamp of a millisecond (since 1970-01-01T00:00Z), or the one with these low bits."""
    return (milliseconds << STAMP_BITS) | low_bits


def milliseconds_of(stamp: int) -> int:
    return stamp >> STAMP_BITS


def next_stamp(last: int) -> int:
    """A stamp later than `last` and not before the clock: it never goes back."""
    return max(last + 1, stamp_of(time.time_ns() // 1_000_000))


def instant(stamp: int) -> str:
    """The FHIR `instant` of a stamp, in UTC with milliseconds (meta.lastUpdated)."""
    at, ms = divmod(milliseconds_of(stamp), 1000)
    return f"{_second(at)}.{ms:03d}Z"


@functools.lru_cache(64)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


# ------------------------------------------------------------------------------------------------ index
class Entry(NamedTuple):
    """One value of one search parameter of one resource.

    `param` is `Type.code` (`Observation.date`). `rank` says what this entry is among the entries of the same
    parameter of the same resource: 0 = only one, so smallest and largest, 1 = smallest, 2 = largest, 3 = between.
    Sorting ascending reads ranks 0 and 1, descending 0 and 2 (of spans: by `low`). A link has rank 0 always.

    A parameter named `Type.place#part` (`Observation.component#code`) is a part of something that occurs several
    times: there `rank` is the number of the occurrence, from 0, and nothing sorts by it. See `Together`.
    """

    shape: str
    param: str
    key: str
    scope: str = ""
    low: int = 0
    high: int = 0
    rank: int = 0


# ------------------------------------------------------------------------------------------------ tests
@dataclass(frozen=True, slots=True)
class Term:
    """A term entry with this key and scope. key None: any key of the scope; scope None: any scope; '' = no scope."""

    param: str
    key: str | None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Begins:
    """A term entry, of any scope, whose key begins with `prefix` (never empty; code points as written)."""

    param: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text entry. how: `prefix`, `contains`, `suffix` and `equal` compare the normalised key, `exact` the text as
    written (scope).

    `value` is already normalised but for exact; there, `normal` is the normalised form (an index key).
    """

    param: str
    value: str
    how: str = "prefix"
    normal: str = ""


@dataclass(frozen=True, slots=True)
class Word:
    """A word entry with this key, or, with `begins`, whose key begins with it (never empty)."""

    param: str
    key: str
    begins: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A link entry with this exact target (`Patient/1`, an absolute URL or a canonical)."""

    param: str
    target: str


@dataclass(frozen=True, slots=True)
class Span:
    """A span entry of `key` for which one of `bounds` holds; each bound is a conjunction of (side, op, value).

    side `low` or `high`, op one of `<` `<=` `>` `>=`. Both sides are tested on the same entry, never across entries.
    """

    param: str
    bounds: tuple[tuple[tuple[str, str, int], ...], ...]
    key: str = ""


@dataclass(frozen=True, slots=True)
class Present:
    """There is at least one entry of this shape, any but word, for the parameter (`:missing=false`)."""

    param: str
    shape: str


@dataclass(frozen=True, slots=True)
class Ids:
    """The logical id is one of these."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stamped:
    """low <= stamp of the current version < high; None = open (`_lastUpdated`)."""

    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class Together:
    """Parts of one occurrence pass these tests: entries with the same place (`Observation.component` of
    `Observation.component#code`) and the same `rank`. The tests are Term, Begins, Text and Span on parts of one place,
    or an Any of such; at least one."""

    tests: tuple["Test", ...]


@dataclass(frozen=True, slots=True)
class Linked:
    """A link entry of `param` points at a living resource of `type` that passes `test` (a chain)."""

    param: str
    type: str
    test: "Test"


@dataclass(frozen=True, slots=True)
class Backlinked:
    """A living resource of `type` that passes `test` points here by a link entry of `param` (`_has`)."""

    type: str
    param: str
    test: "Test"


@dataclass(frozen=True, slots=True)
class All:
    """Every test holds; no tests: everything."""

    tests: tuple["Test", ...] = ()


@dataclass(frozen=True, slots=True)
class Any:
    """At least one test holds; no tests: nothing."""

    tests: tuple["Test", ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    test: "Test"


Test = (
    Term
    | Begins
    | Text
    | Word
    | Link
    | Span
    | Present
    | Ids
    | Stamped
    | Together
    | Linked
    | Backlinked
    | All
    | Any
    | Not
)
PART = "#"  # in a parameter's name: what stands before it is the place of an occurrence


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort key. shape '' sorts by stamp (param `_lastUpdated`) or by id (param `_id`).

    term and text sort by key (code point order), span by `low`. Ascending takes a resource's smallest value,
    descending its largest. A resource without a value comes last in both directions.
    """

    param: str
    shape: str = ""
    descending: bool = False


Cursor = tuple[str | int | None, ...]
"""Where a page ended: one value a sort key (None = no value), then the row's own place (store's own, opaque int)."""


@dataclass(frozen=True, slots=True)
class Select:
    """Current, not deleted resources of one type that pass `test`, in the order of `sorts`.

    Without sorts, and between equals, the order is a store's own, newest first, and stable while others write:
    a resource keeps its place over updates, so pages have no duplicate and no gap.
    """

    type: str
    test: Test = All()
    sorts: tuple[Sort, ...] = ()
    after: Cursor | None = None
    limit: int = 20


# ------------------------------------------------------------------------------------- versions and writes
class Version(NamedTuple):
    """One stored version. `body` are the accepted bytes with id and meta set; b'' for a deletion."""

    type: str
    id: str
    version: int
    stamp: int
    method: str  # POST, PUT, PATCH or DELETE: the interaction that made it
    body: bytes

    @property
    def deleted(self) -> bool:
        return self.method == "DELETE"


class Change(NamedTuple):
    """A line of the change sequence: every write, in the order of its stamps."""

    stamp: int
    type: str
    id: str
    version: int
    method: str


class Page(NamedTuple):
    """Hits of a select, and the cursor of the next page (None: this was the last)."""

    versions: list[Version]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A body whose version and stamp are not known yet: they are written between `head` and `tail` at commit."""

    head: bytes
    tail: bytes

    def at(self, version: int, stamp: int) -> bytes:
        """The final bytes: `"versionId":"2","lastUpdated":"…"` stands between head and tail."""
        return b'%b"versionId":"%d","lastUpdated":"%b"%b' % (self.head, version, instant(stamp).encode(), self.tail)


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a commit, with its precondition.

    draft None is a deletion. `expect` is the version number the writer has seen (a deletion has one too), 0 when the
    store had nothing under (type, id); it must still hold at commit. `before` are the index entries of that version
    (empty for 0 and for a deletion), `after` those of the new one: a store writes only the difference.
    claim: a unique key (`Patient?identifier=…`) that this resource takes. A claim held by another living resource
    makes the commit fail with `Claimed`, unless `claim_from` names the holder (`Type/id`): the caller has seen that the
    holder no longer matches, so the claim moves. A deleted resource holds no claims, and a deletion in the same commit
    frees them for the writes after it; one claim cannot be taken twice in a commit.
    """

    method: str
    type: str
    id: str
    draft: Draft | None
    expect: int = 0
    before: Sequence[Entry] = ()
    after: Sequence[Entry] = ()
    claim: str = ""
    claim_from: str = ""


class Reentry(NamedTuple):
    """New index entries for a version that stays as it is (`reindex`)."""

    type: str
    id: str
    version: int
    before: Sequence[Entry]
    after: Sequence[Entry]


class Removal(NamedTuple):
    """Versions of a resource to be taken away for good (`expunge`), by their numbers."""

    type: str
    id: str
    versions: Sequence[int]


class Adoption(NamedTuple):
    """A version as another store kept it: number, stamp, method and body stay. Entries as in Write."""

    version: Version
    before: Sequence[Entry]
    after: Sequence[Entry]


class Holding(NamedTuple):
    """A claim and the living resource that holds it (`Type/id`)."""

    claim: str
    holder: str


class StaleWrite(Exception):
    """A write's `expect` did not hold: (type, id) is at version `current` (0 = nothing there)."""

    def __init__(self, type: str, id: str, current: int) -> None:
        super().__init__(f"{type}/{id} is at version {current}")
        self.type, self.id, self.current = type, id, current


class Claimed(Exception):
    """A claim is held by another living resource (`holder` = Type/id)."""

    def __init__(self, claim: str, holder: str) -> None:
        super().__init__(f"{claim} is held by {holder}")
        self.claim, self.holder = claim, holder
