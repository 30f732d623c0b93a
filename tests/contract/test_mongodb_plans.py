"""MongoDB: which index answers a search. Runs where plans mean something: on the server that MONGODB_URL names."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest

from server.errors import TooCostly
from server.keys import (
    All,
    Backlinked,
    Begins,
    Ids,
    Link,
    Linked,
    Not,
    Select,
    Sort,
    Span,
    Stamped,
    Term,
    Test,
    Text,
    Together,
)  # fmt: skip
from server.keys import Any as Either
from server.store.mongo.joins import Joins
from server.store.mongo.limits import JOINED
from server.store.mongo.store import MongoStore, open_mongo
from server.store.mongo.translate import phases
from server.store.port import PLANS
from tests import servers
from tests.contract.author import Author, link, span, term, text

CASES: list[tuple[Select, set[str], bool]] = [  # select, indexes that may answer, whether it needs no sorting
    (Select("T"), {"t_c"}, True),
    (Select("T", Term("T.p", "7", "s")), {"k_c"}, True),
    (Select("T", Link("T.l", "Patient/7")), {"k_c"}, True),
    (Select("T", All((Term("T.p", "7", "s"), Link("T.l", "Patient/7")))), {"k_c"}, True),
    (Select("T", All(), (Sort("_lastUpdated", descending=True),)), {"t_u"}, False),
    (Select("T", Stamped(1 << 62)), {"t_u", "t_c"}, False),
    (Select("T", Ids(("1", "2"))), {"_id_"}, False),
    (Select("T", Text("T.n", "name7")), {"k_c"}, False),
    (Select("T", Text("T.n", "name7", "exact", "name7")), {"k_c"}, True),
    (Select("T", Begins("T.p", "7")), {"k_c"}, False),
    (Select("T", Either((Link("T.l", "Patient/7"), Link("T.l", "Patient/8")))), {"k_c"}, True),
    (Select("T", Together((Span("T.c#v", ((("low", ">", 1),),)), Term("T.c#k", "7")))), {"k_c"}, True),
    (Select("T", Either(tuple(Together((Term("T.c#k", k), Begins("T.c#k", k))) for k in "78"))), {"k_c"}, True),
    (Select("T", Text("T.n", "e7", "suffix")), {"k_c"}, False),
    (Select("T", Span("T.d", ((("low", ">=", 70), ("high", "<=", 71)),))), {"r_p_h_l"}, False),
]


@pytest.fixture(scope="module")
async def planned(mongodb: str) -> AsyncIterator[MongoStore]:
    store = await open_mongo(servers.database(mongodb, f"plans_{uuid4().hex}"))
    author = Author(store)
    await author.commit(
        *(
            author.write(
                "T",
                f"{n}",
                term("T.p", f"{n}", "s"),
                link("T.l", f"Patient/{n}"),
                text("T.n", f"name{n}"),
                span("T.d", n * 10, n * 10 + 1),
                term("T.c#k", f"{n}"),
                span("T.c#v", n, n),
            )
            for n in range(400)
        )
    )
    yield store
    await store.close()


# a test that follows links -> what leads each query, in the order asked
TARGET = Term("P.p", "7", "s")
FOLLOWED: list[tuple[Test, list[str]]] = [
    (Linked("T.l", "Patient", TARGET), ["k", "k"]),
    (Linked("T.l", "Patient", Ids(("7",))), ["_id", "k"]),
    (Linked("T.l", "Patient", Text("P.n", "x")), ["t", "k"]),
    (Linked("T.l", "Patient", Linked("P.l", "Organization", Term("O.n", "x"))), ["k", "k", "k"]),
    (Backlinked("O", "O.subject", TARGET), ["k", "_id"]),
    (Backlinked("O", "O.subject", Backlinked("A", "A.entity", TARGET)), ["k", "_id", "_id"]),
    (All((Not(Term("T.p", "1")), Linked("T.l", "Patient", TARGET))), ["k", "k"]),
    (Either((Linked("T.l", "Patient", TARGET), Linked("T.l", "Group", TARGET))), ["k", "k", "k"]),
]


async def test_every_query_of_a_chain_is_led_by_what_an_index_serves(planned: MongoStore) -> None:
    """The first condition of a filter: a token, an id, or the type; and no query carries more than its limit."""
    for test, expected in FOLLOWED:
        queries: list[list[dict[str, Any]]] = []

        async def run(stages: list[dict[str, Any]], most: int, queries: list[Any] = queries) -> list[dict[str, Any]]:
            queries.append(stages)
            assert {"$limit": JOINED + 1} in stages
            assert most == JOINED + 1
            return [{"_id": f"Patient/{n}"} for n in range(3)]

        plain = await Joins(run).resolved(test, "T")
        (last,) = phases(Select("T", plain))
        leading = [next(iter(stages[0]["$match"])) for stages in [*queries, last]]
        assert leading == expected, test


async def test_what_is_too_large_at_both_ends_is_refused_and_narrowed_where_it_can_be(planned: MongoStore) -> None:
    many = [{"_id": f"Patient/{n}"} for n in range(JOINED + 1)]
    asked: list[str] = []

    async def run(stages: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
        asked.append(next(iter(stages[0]["$match"])))
        return many[:2] if asked[-1] == "_id" else many

    join = Linked("T.l", "Patient", TARGET)
    with pytest.raises(TooCostly, match=f"T.l over more than {JOINED}"):
        await Joins(run).resolved(join, "T")
    plain = await Joins(run).resolved(All((Ids(("1", "2")), join)), "T")
    assert plain == All((Ids(("1", "2")), Either((Link("T.l", "Patient/0"), Link("T.l", "Patient/1")))))
    assert asked == ["k", "k", "_id", "_id"]  # the far end, in vain; then the near end, and the far end narrowed by it


def found(plan: Any, name: str) -> Iterator[str]:
    """All values under a key of a winning plan."""
    if isinstance(plan, list):
        for inner in plan:
            yield from found(inner, name)
    elif isinstance(plan, dict):
        for key, inner in plan.items():
            if key == name and isinstance(inner, str):
                yield inner
            elif key != "rejectedPlans":
                yield from found(inner, name)


async def test_searches_are_answered_by_their_indexes(planned: MongoStore) -> None:
    """The indexes are there on every server; that plans use them is asked where plans mean something (MONGODB_URL)."""
    there = await planned._connection.client[planned._connection.database]["res"].index_information()
    for select, indexes, in_order in CASES:
        assert indexes <= set(there), select
        if PLANS not in planned.abilities:
            continue
        plan = await explain(planned, select)
        used = set(found(plan, "stage"))
        assert "COLLSCAN" not in used, select
        assert not in_order or "SORT" not in used, select
        assert set(found(plan, "indexName")) <= indexes, select


async def test_a_plan_can_be_explained(planned: MongoStore) -> None:
    """On the stand-in too, so that the test above is known to ask a question that is understood."""
    for select, _, _ in CASES:
        assert set(found(await explain(planned, select), "stage")), select


async def explain(store: MongoStore, select: Select) -> dict[str, Any]:
    (stages,) = phases(select)
    command = {"aggregate": "res", "pipeline": [*stages, {"$limit": 21}], "cursor": {}}
    database = store._connection.client[store._connection.database]
    return await database.command({"explain": command, "verbosity": "queryPlanner"})
