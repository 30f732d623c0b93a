"""Who writes in the contract tests: remembers versions and entries, as a caller of the store port has to."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from server.keys import LINK, PART, SPAN, TERM, TEXT, WORD, Draft, Entry, Page, Select, Test, Version, Write
from server.store.port import Store


def term(param: str, key: str, scope: str = "") -> Entry:
    return Entry(TERM, param, key, scope)


def text(param: str, written: str, normal: str | None = None) -> Entry:
    return Entry(TEXT, param, written.lower() if normal is None else normal, written)


def link(param: str, target: str) -> Entry:
    return Entry(LINK, param, target)


def span(param: str, low: int, high: int, key: str = "") -> Entry:
    return Entry(SPAN, param, key, "", low, high)


def ranked(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries without doubles and with `rank` as keys.py defines it; parts keep the number of their occurrence."""
    groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    done: list[Entry] = []
    for entry in dict.fromkeys(e if PART in e.param else e._replace(rank=0) for e in entries):
        if PART in entry.param:
            done.append(entry)
        else:
            groups[entry.shape, entry.param].append(entry)
    for (shape, _), group in groups.items():
        group.sort(key=lambda entry: (entry.low, entry.high, entry.key) if shape == SPAN else (entry.key, entry.scope))
        last = len(group) - 1
        for n, entry in enumerate(group):
            rank = 0 if shape in (LINK, WORD) or last == 0 else 1 if n == 0 else 2 if n == last else 3
            done.append(entry._replace(rank=rank))
    return tuple(done)


def draft(id: str, rest: bytes = b"") -> Draft:
    return Draft(b'{"id":"%b","meta":{' % id.encode(), b"}%b}" % rest)


class Author:
    """Writes as one caller who has seen everything that this caller wrote."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.seen: dict[tuple[str, str], int] = {}
        self.entries: dict[tuple[str, str], tuple[Entry, ...]] = {}

    def write(
        self,
        type: str,
        id: str,
        *entries: Entry,
        rest: bytes = b"",
        claim: str = "",
        claim_from: str = "",
        expect: int | None = None,
    ) -> Write:
        """A create, or an update of what this author saw."""
        known = self.seen.get((type, id), 0) if expect is None else expect
        before = self.entries.get((type, id), ())
        after = ranked(entries)
        method = "PUT" if known else "POST"
        return Write(method, type, id, draft(id, rest), known, before, after, claim, claim_from)

    def deletion(self, type: str, id: str) -> Write:
        return Write("DELETE", type, id, None, self.seen[type, id], self.entries.get((type, id), ()))

    async def commit(self, *writes: Write) -> list[Version]:
        versions = await self.store.commit(writes)
        for write, version in zip(writes, versions, strict=True):
            self.seen[write.type, write.id] = version.version
            self.entries[write.type, write.id] = tuple(write.after)
        return versions

    async def put(self, type: str, id: str, *entries: Entry, claim: str = "", claim_from: str = "") -> Version:
        return (await self.commit(self.write(type, id, *entries, claim=claim, claim_from=claim_from)))[0]

    async def delete(self, type: str, id: str) -> Version:
        return (await self.commit(self.deletion(type, id)))[0]

    async def ids(self, type: str, test: Test) -> list[str]:
        """Ids of the hits, sorted; `count` must say the same."""
        page = await self.store.select(Select(type, test, limit=10_000))
        assert page.next is None
        assert await self.store.count(type, test) == len(page.versions)
        return sorted(version.id for version in page.versions)


async def pages(store: Store, select: Select) -> list[Page]:
    """All pages of a select, following the cursors."""
    done = [await store.select(select)]
    while (after := done[-1].next) is not None:
        done.append(await store.select(Select(select.type, select.test, select.sorts, after=after, limit=select.limit)))
        assert len(done) < 10_000
    return done


def ids_of(pages: Sequence[Page]) -> list[str]:
    return [version.id for page in pages for version in page.versions]
