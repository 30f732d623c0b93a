"""Index entries of stored resources by SearchParameter resources: what they should be, which may have been left behind
by older versions or older definitions, and whether the store's index says the same."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import orjson

from server.interaction.api import Api
from server.keys import (
    LINK,
    PART,
    SPAN,
    TERM,
    All,
    Entry,
    Ids,
    Link,
    Present,
    Reentry,
    Select,
    Span,
    Term,
    Test,
    Text,
    Together,
    Version,
)
from server.model.tables import Parameter
from server.search.index import index
from server.search.kinds.kind import Setting

PAST = 100  # versions of a resource read at once
SAMPLE = 10  # resources of a batch of which each value is looked for


@dataclass(frozen=True, slots=True)
class Definitions:
    """`all`: of each active version of a SearchParameter, type -> parameter. `first`, `stamp`: of its first and its
    present version."""

    all: Sequence[dict[str, Parameter]]
    first: int
    stamp: int

    def extras(self) -> Iterable[dict[str, tuple[Parameter, ...]]]:
        return ({type: (parameter,) for type, parameter in one.items()} for one in self.all)


@dataclass(frozen=True, slots=True)
class _Entries:
    """plain: by R4's parameters; added: by stored SearchParameters as they are now; past: what must not be there."""

    plain: frozenset[Entry]
    added: frozenset[Entry]
    past: frozenset[Entry]


async def reentries(api: Api, definitions: Definitions, versions: Sequence[Version]) -> list[Reentry]:
    """Those that have something to write or to take away."""
    found = []
    for version in versions:
        one = await _entries(api, definitions, version)
        if one.added or one.past:
            now = [*one.plain, *one.added]
            found.append(Reentry(version.type, version.id, version.version, [*one.plain, *one.past], now))
    return found


async def whole(api: Api, versions: Sequence[Version]) -> list[Reentry]:
    """All entries anew, whatever is there; without what older versions were found by."""
    found = []
    for version in versions:
        await asyncio.sleep(0)
        now = index(orjson.loads(version.body), api.setting)
        older = await _older(api, 0, version)
        past = {entry for body in older for entry in index(orjson.loads(body), api.setting)}.difference(now)
        found.append(Reentry(version.type, version.id, version.version, list(past), now))
    return found


async def difference(api: Api, definitions: Definitions, versions: Sequence[Version]) -> list[Version]:
    """The resources of which the store's index has something missing or left behind, as they are now.

    Of each resource whether it has a value at all, and that no past value is there; of SAMPLE each value too.
    """
    wrong: list[Version] = []
    while versions:  # one that was written while it was looked at is looked at again
        seen = {version.id: version.version for version in versions}
        expected = {version.id: await _entries(api, definitions, version) for version in versions}
        ids = await _unlike(api, versions[0].type, expected)
        again = [await api.store.get(version.type, version.id) for version in versions if version.id in ids]
        living = [one for one in again if one is not None and not one.deleted]
        wrong += [one for one in living if one.version == seen[one.id]]
        versions = [one for one in living if one.version != seen[one.id]]
    return wrong


async def _unlike(api: Api, type: str, expected: dict[str, _Entries]) -> set[str]:
    tests: dict[Test, set[str]] = {}
    for number, (id, one) in enumerate(expected.items()):
        for entry in one.added | one.past:
            if PART not in entry.param:
                tests.setdefault(Present(entry.param, entry.shape), set())
        for entry in one.added:
            if PART not in entry.param:
                tests[Present(entry.param, entry.shape)].add(id)
            if number < SAMPLE:
                tests.setdefault(_test(entry), set())
        for entry in one.past:
            tests.setdefault(_test(entry), set())
    for test, ids in tests.items():
        if not isinstance(test, Present):
            ids |= {id for id, one in expected.items() if any(_test(entry) == test for entry in one.added)}
    found = set()
    for test, ids in tests.items():
        page = await api.store.select(Select(type, All((Ids(tuple(expected)), test)), limit=len(expected)))
        found |= ids ^ {version.id for version in page.versions}
    return found


def _test(entry: Entry) -> Test:
    """What finds this entry and no other of the parameter."""
    test: Test
    if entry.shape == TERM:
        test = Term(entry.param, entry.key, entry.scope)
    elif entry.shape == LINK:
        test = Link(entry.param, entry.key)
    elif entry.shape == SPAN:
        exactly = (
            ("low", ">=", entry.low),
            ("low", "<=", entry.low),
            ("high", ">=", entry.high),
            ("high", "<=", entry.high),
        )
        test = Span(entry.param, (exactly,), entry.key)
    else:
        test = Text(entry.param, entry.scope, "exact", entry.key)
    return Together((test,)) if PART in entry.param else test


async def _entries(api: Api, definitions: Definitions, version: Version) -> _Entries:
    await asyncio.sleep(0)  # requests go between two resources
    plain, added = _split(version.body, api.setting)
    past: set[Entry] = set()
    bodies = [version.body, *await _older(api, definitions.first, version)]
    for extra in definitions.extras():
        setting = replace(api.setting, extra=extra)
        for body in bodies:
            past |= _split(body, setting)[1]
    return _Entries(plain, added, frozenset(past) - added - plain)


def _split(body: bytes, setting: Setting) -> tuple[frozenset[Entry], frozenset[Entry]]:
    """(entries without stored SearchParameters, those that these add)."""
    resource = orjson.loads(body)
    plain = frozenset(index(resource, replace(setting, extra={})))
    return plain, frozenset(index(resource, setting)) - plain if setting.extra else frozenset()


async def _older(api: Api, first: int, version: Version) -> list[bytes]:
    """Bodies that were current at some time since the stamp `first`: their entries may be there still."""
    found: list[bytes] = []
    stamp, number = version.stamp, version.version
    while number > 1 and stamp >= first:
        older = await api.store.history(version.type, version.id, stamp, PAST)
        for one in older:
            found += [one.body] if one.body else []
            stamp, number = one.stamp, one.version
            if stamp < first:
                break
        if len(older) < PAST:
            break
    return found
