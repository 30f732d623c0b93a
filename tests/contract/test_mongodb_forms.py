"""MongoDB: filter forms that are wrong on arrays, or that the stand-in answers otherwise than mongod, stay out.

1. A compiled regular expression as a value finds nothing on the stand-in once the field is indexed.
2. On an array, `{k: {$gte: a, $lt: b}}` lets two different elements satisfy the two sides; the stand-in hides that.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any as Anything

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import server.store.mongo
from server.errors import Invalid, TooCostly
from server.keys import (
    LINK,
    SPAN,
    TERM,
    TEXT,
    All,
    Any,
    Entry,
    Ids,
    Link,
    Not,
    Present,
    Select,
    Sort,
    Span,
    Stamped,
    Term,
    Test,
    Text,
    stamp_of,
)
from server.store.mongo.limits import CONTAINS
from server.store.mongo.translate import filter_of, phases
from tests.contract.test_store_oracle import MANY, any_tests

SOURCES = sorted(Path(next(iter(server.store.mongo.__path__))).glob("*.py"))
ARRAYS = ("k", "r")
RANGE = {"$gt", "$gte", "$lt", "$lte"}
FORBIDDEN = {
    "a compiled regular expression": r"\bre\.compile\b|^\s*(import|from) re\b|\bbson\.regex\b|bson import .*Regex",
    "a range directly on an array": r"""["'](k|r|r\.\w)["']:\s*(_prefix\(|\{\s*["']\$(gt|gte|lt|lte)["'])""",
    "a snapshot session, which moves on the stand-in": r"snapshot\s*=\s*True",
    "save() of a new document, which writes nothing": r"\.save\((?!force_insert=True)",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_sources_do_not_contain(what: str) -> None:
    found = [
        f"{path.name}:{n}: {line.strip()}"
        for path in SOURCES
        for n, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(FORBIDDEN[what], line) and not line.strip().startswith("#")
    ]
    assert len(SOURCES) > 5
    assert found == []


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a compiled regular expression", '    return {"k": re.compile("^m")}'),
        ("a compiled regular expression", "import re"),
        ("a compiled regular expression", "from bson.regex import Regex"),
        ("a range directly on an array", '{"k": {"$gte": "a", "$lt": "b"}}'),
        ("a range directly on an array", '{"r.l": {"$gt": 1}}'),
        ("a range directly on an array", '{"k": _prefix("a")}'),
        ("a snapshot session, which moves on the stand-in", "start_session(snapshot=True)"),
        ("save() of a new document, which writes nothing", "await Layout(pk=1).save()"),
    ],
)
def test_the_search_for_forbidden_forms_would_find_them(what: str, line: str) -> None:
    assert re.search(FORBIDDEN[what], line)


def wrong_forms(value: Anything, path: str = "") -> Iterator[str]:
    """Places in a filter where an array is compared by more than one condition that is not in one `$elemMatch`."""
    if isinstance(value, re.Pattern):
        yield f"{path}: compiled pattern"
    elif isinstance(value, list):
        for inner in value:
            yield from wrong_forms(inner, path)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name.split(".")[0] in ARRAYS and isinstance(inner, dict) and RANGE & inner.keys():
                yield f"{path}/{name}: {inner}"
            if name.split(".")[0] == "r" and (
                name != "r" or (isinstance(inner, dict) and set(inner) != {"$elemMatch"})
            ):
                yield f"{path}/{name}: outside $elemMatch"
            if name != "$elemMatch" or path.endswith("/o"):
                yield from wrong_forms(inner, f"{path}/{name}")


def test_the_check_of_filters_would_find_wrong_forms() -> None:
    for wrong in (
        {"k": {"$gte": "a", "$lt": "b"}},
        {"$and": [{"r.l": {"$gte": 1}}]},
        {"$or": [{"k": re.compile("a")}]},
        {"r": {"p": 1}},
        {"k": {"$in": [re.compile("a")]}},
    ):
        assert list(wrong_forms(wrong)), wrong


@pytest.mark.parametrize(
    "test",
    [
        Term("T.p", None),
        Term("T.p", None, "s"),
        Text("T.n", "a"),
        Text("T.n", "a.*", "contains"),
        Text("T.n", "a", "exact"),
        Link("T.l", "x"),
        Span("T.d", ((("low", ">=", 1), ("high", "<", 5)), (("low", ">", 9),))),
        *(Present("T.p", shape) for shape in (TERM, TEXT, LINK, SPAN)),
        Not(All((Text("T.n", "a"), Any((Span("T.d", ((("low", ">", 1),),)), Term("T.p", "a")))))),
    ],
    ids=repr,
)
def test_no_filter_has_a_wrong_form(test: Test) -> None:
    assert list(wrong_forms(filter_of("T", test))) == []


@settings(max_examples=60, deadline=None)
@given(entries=MANY, data=st.data())
def test_no_random_filter_has_a_wrong_form(entries: list[tuple[Entry, ...]], data: st.DataObject) -> None:
    test = data.draw(any_tests({f"{n}": some for n, some in enumerate(entries)}, [1]))
    assert list(wrong_forms(filter_of("T", test))) == []


@pytest.mark.parametrize("first", [TERM, TEXT, SPAN])
@pytest.mark.parametrize("after", [True, False])
def test_no_page_has_a_wrong_form(first: str, after: bool) -> None:
    value = 1 if first == SPAN else "a"
    cursor = (value, "b", 1 << 60) if after else None
    select = Select("T", Term("T.q", "x"), (Sort("T.p", first), Sort("T.t", TEXT)), cursor)
    stages = [stage for phase in phases(select) for stage in phase]
    assert len(stages) >= 4
    assert list(wrong_forms(stages)) == []


def test_a_cursor_of_another_store_is_invalid() -> None:
    with pytest.raises(Invalid):
        list(phases(Select("T", after=(5,))))  # a row number, as the SQLite store has them
    assert list(phases(Select("T", after=(stamp_of(1_700_000_000_000),))))


def test_a_text_to_look_for_inside_others_has_a_longest_length() -> None:
    assert filter_of("T", Text("T.n", "x" * CONTAINS, "contains"))
    with pytest.raises(TooCostly, match=f"{CONTAINS} characters"):
        filter_of("T", Text("T.n", "x" * (CONTAINS + 1), "contains"))


def test_the_most_selective_equality_leads_a_filter() -> None:
    rest = (Text("T.n", "a"), Stamped(5), Not(Term("T.p", "b")))
    assert next(iter(filter_of("T", All(rest)))) == "t"
    for leading, name in ((Ids(("1",)), "_id"), (Link("T.l", "x"), "k"), (Term("T.p", "a"), "k")):
        made = filter_of("T", All((*rest, leading)))
        assert list(made)[:2] == [name, "t"]
        assert len(made["$and"]) == len(rest)
