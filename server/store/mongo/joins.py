"""Chains and `_has`: a test that follows links becomes one without, by queries for what is at the other end.

Such a query carries ids or link tokens and nothing else, and at most JOINED of them. Where the far end has more, the
rest of the search is asked first and narrows it; where both ends have more the search is refused, never cut off.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from server.errors import TooCostly
from server.keys import All, Backlinked, Ids, Link, Linked, Not, Test
from server.keys import Any as Either
from server.store.mongo import index
from server.store.mongo.limits import JOINED
from server.store.mongo.translate import filter_of, literal

Stage = dict[str, Any]
Run = Callable[[list[Stage], int], Awaitable[list[dict[str, Any]]]]
"""(stages over `res`, most documents) -> documents."""


class _TooMany(Exception):
    """The far end of a link has more than JOINED resources."""


def follows_links(test: Test) -> bool:
    match test:
        case All(tests) | Either(tests):
            return any(follows_links(inner) for inner in tests)
        case Not(inner):
            return follows_links(inner)
        case _:
            return isinstance(test, Linked | Backlinked)


class Joins:
    def __init__(self, run: Run) -> None:
        self._run = run

    async def resolved(self, test: Test, type: str) -> Test:
        """The same test of resources of `type`, without Linked and Backlinked. Raises TooCostly."""
        if not follows_links(test):
            return test
        match test:
            case All(tests):
                return All(tuple(await self._all(tests, type)))
            case Either(tests):
                return Either(tuple([await self.resolved(inner, type) for inner in tests]))
            case Not(inner):
                return Not(await self.resolved(inner, type))
            case Linked() | Backlinked():
                (only,) = await self._all((test,), type)
                return only
            case _:  # pragma: no cover
                return test

    async def _all(self, tests: Sequence[Test], type: str) -> list[Test]:
        """The conjuncts, plain ones first; a join that is too large alone is narrowed by all the others."""
        joins = [test for test in tests if isinstance(test, Linked | Backlinked)]
        plain = [await self.resolved(test, type) for test in tests if not isinstance(test, Linked | Backlinked)]
        large: list[Linked | Backlinked] = []
        for join in joins:
            try:
                plain.append(await self._join(join, type))
            except _TooMany:
                large.append(join)
        for join in large:
            try:
                if not plain:
                    raise _TooMany
                plain.append(await self._join(await self._narrowed(join, All(tuple(plain)), type), type))
            except _TooMany as many:
                raise TooCostly(
                    f"the search follows {join.param} over more than {JOINED} resources: "
                    "narrow what is asked of them, or what is searched for"
                ) from many
        return plain

    async def _join(self, join: Linked | Backlinked, type: str) -> Test:
        """Raises _TooMany."""
        far = All(tuple(await self._all((join.test,), join.type)))
        if isinstance(join, Backlinked):
            return Ids(tuple(await self._targets(join.type, far, join.param, type)))
        found = await self._bounded([{"$match": filter_of(join.type, far)}, {"$project": {"_id": 1}}])
        return Either(tuple(Link(join.param, id) for id in found))

    async def _narrowed(self, join: Linked | Backlinked, rest: Test, type: str) -> Linked | Backlinked:
        """The join with what the rest of the search leaves at its far end. Raises _TooMany."""
        if isinstance(join, Linked):
            near: Test = Ids(tuple(await self._targets(type, rest, join.param, join.type)))
            return Linked(join.param, join.type, All((near, join.test)))
        found = await self._bounded([{"$match": filter_of(type, rest)}, {"$project": {"_id": 1}}])
        near = Either(tuple(Link(join.param, id) for id in found))
        return Backlinked(join.type, join.param, All((near, join.test)))

    async def _targets(self, source: str, test: Test, param: str, type: str) -> list[str]:
        """Ids of the resources of `type` that sources passing a test refer to, each once. Raises _TooMany."""
        prefix = index.link(param, f"{type}/")
        stages: list[Stage] = [
            {"$match": filter_of(source, test)},
            {"$project": {"k": 1, "_id": 0}},
            {"$unwind": "$k"},
            {"$match": {"k": {"$regex": f"^{literal(prefix)}"}}},
            {"$group": {"_id": "$k"}},
        ]
        return [token.removeprefix(prefix) for token in await self._bounded(stages)]

    async def _bounded(self, stages: list[Stage]) -> list[str]:
        """The `_id` of at most JOINED documents. Raises _TooMany."""
        found = await self._run([*stages, {"$limit": JOINED + 1}], JOINED + 1)
        if len(found) > JOINED:
            raise _TooMany
        return [document["_id"] for document in found]
