"""MongoDB: which index answers a search. Runs where plans mean something: on the server that MONGODB_URL names."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest

from server.keys import All, Ids, Link, Select, Sort, Span, Stamped, Term, Text
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
            )
            for n in range(400)
        )
    )
    yield store
    await store.close()


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
