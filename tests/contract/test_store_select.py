"""Contract: every kind of test, alone and nested, and the index after updates and deletions."""

import pytest

from server.keys import (
    LINK,
    SPAN,
    TERM,
    TEXT,
    All,
    Any,
    Ids,
    Link,
    Not,
    Present,
    Reentry,
    Select,
    Span,
    Stamped,
    Term,
    Test,
    Text,
)
from server.store.port import Store
from tests.contract.author import Author, link, ranked, span, term, text

T = "T"
HAN = "\U00020bb7"  # 𠮷, beyond the BMP: two UTF-16 units, four bytes of UTF-8
NEXT = "\U00020bb8"
TOP = "\U0010ffff"


def within(param: str, low: int, high: int, key: str = "") -> Span:
    return Span(param, ((("low", ">=", low), ("high", "<=", high)),), key)


# ------------------------------------------------------------------------------------------------- term
async def test_a_term_is_found_by_key_and_scope(author: Author) -> None:
    await author.put(T, "ab", term("T.p", "a", "s"))
    await author.put(T, "none", term("T.p", "a"))
    await author.put(T, "other", term("T.p", "a", "s2"), term("T.p", "b", "s"))
    await author.put(T, "param", term("T.q", "a", "s"))
    cases: dict[Term, list[str]] = {
        Term("T.p", "a"): ["ab", "none", "other"],
        Term("T.p", "a", "s"): ["ab"],
        Term("T.p", "a", ""): ["none"],
        Term("T.p", None, "s"): ["ab", "other"],
        Term("T.p", None, ""): ["none"],
        Term("T.p", None): ["ab", "none", "other"],
        Term("T.p", "A"): [],
        Term("T.p", ""): [],
        Term("T.p", "a", "S"): [],
        Term("T.", "a"): [],
    }
    for test, hits in cases.items():
        assert await author.ids(T, test) == hits, test


async def test_key_and_scope_of_a_term_belong_to_one_entry(author: Author) -> None:
    await author.put(T, "crossed", term("T.p", "a", "s1"), term("T.p", "b", "s2"))
    assert await author.ids(T, Term("T.p", "a", "s2")) == []
    assert await author.ids(T, All((Term("T.p", "a", "s1"), Term("T.p", "b", "s2")))) == ["crossed"]


SEPARATORS = [
    "|",
    "||",
    "=",
    "~",
    '"',
    ">",
    "%",
    "%7C",
    "%257C",
    "a|b",
    "$",
    ".",
    "\\",
    "^a",
    "a*",
    "[",
    "'",
    "\n",
    " ",
]


@pytest.mark.parametrize("odd", SEPARATORS)
async def test_separators_in_keys_and_scopes_have_no_meaning(author: Author, odd: str) -> None:
    await author.put(T, "key", term("T.p", odd, "s"), text("T.t", odd), link("T.l", odd))
    await author.put(T, "scope", term("T.p", "s", odd))
    await author.put(T, "both", term("T.p", f"k{odd}x", f"s{odd}y"))
    await author.put(T, "shifted", term("T.p", f"{odd}k", "s"), term("T.p", "k", f"s{odd}"))
    cases: dict[Test, list[str]] = {
        Term("T.p", odd): ["key"],
        Term("T.p", odd, "s"): ["key"],
        Term("T.p", "s", odd): ["scope"],
        Term("T.p", None, odd): ["scope"],
        Term("T.p", None, "s"): ["key", "shifted"],
        Term("T.p", f"k{odd}x", f"s{odd}y"): ["both"],
        Term("T.p", None, f"s{odd}"): ["shifted"],
        Term("T.p", f"{odd}k", "s"): ["shifted"],
        Term("T.p", f"{odd}k", ""): [],
        Link("T.l", odd): ["key"],
        Text("T.t", odd.lower()): ["key"],
        Text("T.t", odd.lower(), "contains"): ["key"],
        Text("T.t", odd, "exact", odd.lower()): ["key"],
    }
    for test, hits in cases.items():
        assert await author.ids(T, test) == hits, test


@pytest.mark.parametrize(
    "odd", ["T.p|", "T.p=", "T.p~", 'T.p"', "T.p>", "T.p%7C", "T.p%", "T.p$", "T.", "T.p.q", "T.!p"]
)
async def test_a_parameter_name_never_reaches_into_another(author: Author, odd: str) -> None:
    entries = (term(odd, "a", "s"), text(odd, "a"), link(odd, "a"), span(odd, 1, 2))
    await author.put(T, "odd", *entries)
    await author.put(T, "plain", term("T.p", "a", "s"), text("T.p", "a"), link("T.p", "a"), span("T.p", 1, 2))
    tests: dict[str, list[Test]] = {
        param: [
            Term(param, "a"),
            Term(param, "a", "s"),
            Term(param, None, "s"),
            Text(param, ""),
            Text(param, "a"),
            Text(param, "a", "exact", "a"),
            Text(param, "a", "contains"),
            Link(param, "a"),
            within(param, 0, 9),
            *(Present(param, shape) for shape in (TERM, TEXT, LINK, SPAN)),
        ]
        for param in (odd, "T.p")
    }
    for test in tests[odd]:
        assert await author.ids(T, test) == ["odd"], test
    for test in tests["T.p"]:
        assert await author.ids(T, test) == ["plain"], test


# ------------------------------------------------------------------------------------------------- text
async def test_a_text_is_found_by_prefix_of_its_normal_form(author: Author) -> None:
    for id, written in {"li": "Li", "lin": "Lin", "han": HAN + "田", "next": NEXT, "bmp": "｡", "empty": ""}.items():
        await author.put(T, id, text("T.n", written))
    cases = {
        "li": ["li", "lin"],
        "lin": ["lin"],
        "ling": [],
        HAN: ["han"],
        NEXT: ["next"],
        "｡": ["bmp"],
        "": ["bmp", "empty", "han", "li", "lin", "next"],
        "LI": [],  # the caller normalises
        "i": [],
    }
    for value, hits in cases.items():
        assert await author.ids(T, Text("T.n", value)) == hits, value


async def test_a_prefix_may_end_with_the_last_code_point(author: Author) -> None:
    await author.put(T, "a", text("T.n", f"a{TOP}{TOP}b"))
    await author.put(T, "b", text("T.n", "b"))
    await author.put(T, "edge", text("T.n", "a\ud7ffx"))
    await author.put(T, "beyond", text("T.n", "a\ue000x"))
    assert await author.ids(T, Text("T.n", f"a{TOP}")) == ["a"]
    assert await author.ids(T, Text("T.n", f"a{TOP}{TOP}")) == ["a"]
    assert await author.ids(T, Text("T.n", "a\ud7ff")) == ["edge"]
    assert await author.ids(T, Text("T.n", "a")) == ["a", "beyond", "edge"]


async def test_a_text_is_found_exactly_as_it_is_written(author: Author) -> None:
    await author.put(T, "small", text("T.n", "li"))
    await author.put(T, "big", text("T.n", "Li"))
    await author.put(T, "long", text("T.n", "Li Na"))
    await author.put(T, "both", text("T.n", "Li"), text("T.n", "LI"))
    cases = {"li": ["small"], "Li": ["big", "both"], "LI": ["both"], "Li Na": ["long"], "lI": []}
    for written, hits in cases.items():
        assert await author.ids(T, Text("T.n", written, "exact", written.lower())) == hits, written


async def test_a_text_is_found_by_what_it_contains(author: Author) -> None:
    await author.put(T, "one", text("T.n", "ab𠮷cd"))
    await author.put(T, "two", text("T.n", "x"), text("T.n", "zab\ncd"))
    await author.put(T, "three", text("T.n", "AB", "AB"), text("T.m", "ab"))
    cases = {
        "ab": ["one", "two"],
        "𠮷": ["one"],
        "b𠮷c": ["one"],
        "b\nc": ["two"],
        "cd": ["one", "two"],
        "x": ["two"],
        "xz": [],  # never across entries
        "AB": ["three"],
        "T.n": [],  # never in the parameter's name
        "": ["one", "three", "two"],
    }
    for value, hits in cases.items():
        assert await author.ids(T, Text("T.n", value, "contains")) == hits, value


META = [
    "%",
    "_",
    ".",
    ".*",
    "a.c",
    "^",
    "$",
    "(",
    ")",
    "[a-z]",
    "{1}",
    "+",
    "?",
    "|",
    "\\",
    "\\d",
    "\\Q",
    "*",
    "#",
    "/",
    "-",
]


@pytest.mark.parametrize("meta", META)
async def test_wildcards_and_regular_expressions_in_texts_mean_themselves(author: Author, meta: str) -> None:
    await author.put(T, "with", text("T.n", f"abc{meta}def", f"abc{meta}def"))
    await author.put(T, "start", text("T.n", f"{meta}def", f"{meta}def"))
    await author.put(T, "without", text("T.n", "abc1def xyz"))
    assert await author.ids(T, Text("T.n", meta, "contains")) == ["start", "with"]
    assert await author.ids(T, Text("T.n", f"abc{meta}")) == ["with"]
    assert await author.ids(T, Text("T.n", meta)) == ["start"]
    assert await author.ids(T, Text("T.n", f"{meta}def", "exact", f"{meta}def")) == ["start"]
    assert await author.ids(T, Text("T.n", f"c{meta}d", "contains")) == ["with"]


# ------------------------------------------------------------------------------------------------- link
async def test_a_link_is_found_by_its_exact_target(author: Author) -> None:
    await author.put("Patient", "1")
    await author.put(T, "local", link("T.s", "Patient/1"), link("T.s", "Patient/2"))
    await author.put(T, "missing", link("T.s", "Patient/never-there"))
    await author.put(T, "url", link("T.s", "http://other.example/fhir/Patient/1"))
    await author.put(T, "canonical", link("T.s", "http://x.example/q|1.0"), link("T.o", "Patient/1"))
    await author.put(T, "urn", link("T.s", "urn:uuid:6f9"))
    cases = {
        "Patient/1": ["local"],
        "Patient/2": ["local"],
        "Patient/": [],
        "Patient/never-there": ["missing"],
        "http://other.example/fhir/Patient/1": ["url"],
        "http://x.example/q|1.0": ["canonical"],
        "http://x.example/q": [],
        "urn:uuid:6f9": ["urn"],
        "patient/1": [],
    }
    for target, hits in cases.items():
        assert await author.ids(T, Link("T.s", target)) == hits, target


# ------------------------------------------------------------------------------------------------- span
async def test_both_sides_of_a_span_hold_in_one_entry(author: Author) -> None:
    await author.put(T, "two", span("T.d", 0, 10), span("T.d", 100, 110))
    await author.put(T, "one", span("T.d", 20, 30))
    assert await author.ids(T, within("T.d", 20, 90)) == ["one"]
    assert await author.ids(T, within("T.d", 0, 10)) == ["two"]
    assert await author.ids(T, within("T.d", 0, 90)) == ["one", "two"]
    # 10 < low and high < 100: [0, 10] has the second, [100, 110] the first, none of `two` both
    assert await author.ids(T, Span("T.d", ((("low", ">", 10), ("high", "<", 100)),))) == ["one"]
    # two tests may be met by two entries
    early, late = Span("T.d", ((("high", "<=", 10),),)), Span("T.d", ((("low", ">=", 100),),))
    assert await author.ids(T, All((early, late))) == ["two"]


async def test_a_span_passes_when_one_of_its_bounds_does(author: Author) -> None:
    for n in range(10):
        await author.put(T, f"{n}", span("T.d", n * 10, n * 10 + 5))
    outside = Span("T.d", ((("low", "<", 15),), (("high", ">", 80), ("low", ">=", 80)), (("low", ">", 1000),)))
    assert await author.ids(T, outside) == ["0", "1", "8", "9"]
    assert await author.ids(T, Span("T.d", ())) == []
    assert len(await author.ids(T, Span("T.d", ((),)))) == 10
    repeated = Span("T.d", ((("low", ">", 0), ("low", ">", 35), ("low", "<=", 60), ("low", "<", 60)),))
    assert await author.ids(T, repeated) == ["4", "5"]


@pytest.mark.parametrize(
    ("op", "hits"), [("<", ["a"]), ("<=", ["a", "b"]), (">", ["c"]), (">=", ["b", "c"])], ids=["lt", "le", "gt", "ge"]
)
@pytest.mark.parametrize("side", ["low", "high"])
@pytest.mark.parametrize("at", [0, -5, 10**15, -(10**15), 2**62])
async def test_the_ends_of_a_span_compare_exactly(author: Author, side: str, op: str, hits: list[str], at: int) -> None:
    for id, value in (("a", at - 1), ("b", at), ("c", at + 1)):
        await author.put(T, id, span("T.d", value, value))
    assert await author.ids(T, Span("T.d", (((side, op, at),),))) == hits


async def test_open_ended_spans_reach_the_limits_of_int64(author: Author) -> None:
    await author.put(T, "past", span("T.d", -(2**63), 5))
    await author.put(T, "future", span("T.d", 5, 2**63 - 1))
    assert await author.ids(T, Span("T.d", ((("low", "<", -(2**62)),),))) == ["past"]
    assert await author.ids(T, Span("T.d", ((("high", ">=", 2**63 - 1),),))) == ["future"]
    assert await author.ids(T, Span("T.d", ((("low", "<=", 5), ("high", ">=", 5)),))) == ["future", "past"]


async def test_a_span_is_of_one_unit(author: Author) -> None:
    await author.put(T, "mmol", span("T.q", 5, 6, "mmol/L"), span("T.q", 50, 60, "mg|dL"))
    await author.put(T, "none", span("T.q", 5, 6))
    assert await author.ids(T, within("T.q", 0, 10, "mmol/L")) == ["mmol"]
    assert await author.ids(T, within("T.q", 0, 10, "mg|dL")) == []
    assert await author.ids(T, within("T.q", 0, 100, "mg|dL")) == ["mmol"]
    assert await author.ids(T, within("T.q", 0, 100)) == ["none"]
    assert await author.ids(T, within("T.q", 0, 100, "mg")) == []


# ----------------------------------------------------------------------- present, ids, stamped, combinations
async def test_present_tells_shapes_and_parameters_apart(author: Author) -> None:
    await author.put(T, "term", term("T.p", "a", "s"), term("T.pp", "a"))
    await author.put(T, "text", text("T.p", "a"))
    await author.put(T, "link", link("T.p", "a"))
    await author.put(T, "span", span("T.p", 1, 2, "u"))
    await author.put(T, "nothing")
    for shape in (TERM, TEXT, LINK, SPAN):
        assert await author.ids(T, Present("T.p", shape)) == [shape]
        missing = await author.ids(T, Not(Present("T.p", shape)))
        assert missing == sorted({"term", "text", "link", "span", "nothing"} - {shape})
        assert await author.ids(T, Present("T.", shape)) == []
        assert await author.ids(T, Present("T.ppp", shape)) == []


async def test_ids_are_of_the_type_asked_for_and_alive(author: Author) -> None:
    for id in ("a", "A", "a-1", "dead"):
        await author.put(T, id)
    await author.put("Other", "b")
    await author.delete(T, "dead")
    assert await author.ids(T, Ids(("a", "b", "dead", "never", "a"))) == ["a"]
    assert await author.ids(T, Ids(())) == []
    assert await author.ids(T, Not(Ids(("a",)))) == ["A", "a-1"]
    assert await author.ids("Nothing", Ids(("a",))) == []


async def test_stamped_takes_low_and_leaves_high(author: Author) -> None:
    stamps = [(await author.put(T, f"{n}")).stamp for n in range(4)]
    assert await author.ids(T, Stamped(stamps[1], stamps[3])) == ["1", "2"]
    assert await author.ids(T, Stamped(stamps[2])) == ["2", "3"]
    assert await author.ids(T, Stamped(None, stamps[2])) == ["0", "1"]
    assert await author.ids(T, Stamped()) == ["0", "1", "2", "3"]
    again = (await author.put(T, "0")).stamp
    assert await author.ids(T, Stamped(again)) == ["0"]
    assert await author.ids(T, Stamped(None, stamps[1])) == []


async def test_tests_nest(author: Author) -> None:
    await author.put(T, "1", term("T.p", "a"), text("T.n", "li"), span("T.d", 1, 2))
    await author.put(T, "2", term("T.p", "b"), text("T.n", "li"), span("T.d", 5, 6))
    await author.put(T, "3", term("T.p", "a"), term("T.p", "b"))
    await author.put(T, "4")
    a, b, li, early = Term("T.p", "a"), Term("T.p", "b"), Text("T.n", "li"), within("T.d", 0, 3)
    cases: list[tuple[Test, list[str]]] = [
        (All(), ["1", "2", "3", "4"]),
        (Any(), []),
        (Not(All()), []),
        (Not(Any()), ["1", "2", "3", "4"]),
        (All((a, b)), ["3"]),
        (Any((a, b)), ["1", "2", "3"]),
        (Not(Any((a, b))), ["4"]),
        (Not(All((a, b))), ["1", "2", "4"]),
        (Not(Not(a)), ["1", "3"]),
        (All((a, Not(b))), ["1"]),
        (All((li, Not(early))), ["2"]),
        (Any((early, All((a, b)))), ["1", "3"]),
        (All((Any((a, li)), Not(Any((early, Ids(("2",))))))), ["3"]),
        (All((Any((a, b)), Any((li, Ids(("3",)))))), ["1", "2", "3"]),
        (All((All(), Any((Any(), a)), All((All((b,)),)))), ["3"]),
        (Any((All(), a)), ["1", "2", "3", "4"]),
        (All((Ids(("1", "2")), Ids(("2", "3")))), ["2"]),
        (Not(All((Not(a), Not(early)))), ["1", "3"]),
    ]
    for test, hits in cases:
        assert await author.ids(T, test) == hits, test


async def test_a_hundred_alternatives_are_searched_at_once(author: Author) -> None:
    await author.commit(*(author.write(T, f"{n:03}", term("T.p", f"{n}", "s")) for n in range(150)))
    hits = await author.ids(T, Any(tuple(Term("T.p", f"{n}", "s") for n in range(100))))
    assert hits == [f"{n:03}" for n in range(100)]


async def test_a_type_that_was_never_written_has_no_hits(store: Store, author: Author) -> None:
    await author.put(T, "1", term("T.p", "a"))
    for test in (All(), Term("Never.p", "a"), Not(Term("Never.p", "a")), Stamped(0)):
        assert await author.ids("Never", test) == []
    assert (await store.select(Select("Never"))).next is None


async def test_hits_carry_the_current_version(store: Store, author: Author) -> None:
    await author.put(T, "1", term("T.p", "a"))
    second = await author.put(T, "1", term("T.p", "a"))
    page = await store.select(Select(T, Term("T.p", "a")))
    assert page.versions == [second]


# ---------------------------------------------------------------------------------------- index maintenance
EVERY_SHAPE = (term("T.p", "old", "s"), text("T.n", "Old"), link("T.l", "Patient/old"), span("T.d", 1, 2, "u"))
FINDING: tuple[Test, ...] = (
    Term("T.p", "old"),
    Term("T.p", "old", "s"),
    Term("T.p", None, "s"),
    Text("T.n", "old"),
    Text("T.n", "Old", "exact", "old"),
    Text("T.n", "ld", "contains"),
    Link("T.l", "Patient/old"),
    within("T.d", 0, 3, "u"),
    Present("T.p", TERM),
    Present("T.n", TEXT),
    Present("T.l", LINK),
    Present("T.d", SPAN),
)


async def assert_found(author: Author, ids: list[str]) -> None:
    for test in FINDING:
        assert await author.ids(T, test) == ids, test


async def test_an_update_leaves_no_old_entry_behind(author: Author) -> None:
    await author.put(T, "1", *EVERY_SHAPE)
    await assert_found(author, ["1"])
    await author.put(T, "1", term("T.x", "new"))
    await assert_found(author, [])
    assert await author.ids(T, Term("T.x", "new")) == ["1"]
    await author.put(T, "1", *EVERY_SHAPE)
    await assert_found(author, ["1"])


async def test_an_update_that_changes_one_entry_keeps_the_others(author: Author) -> None:
    await author.put(T, "1", *EVERY_SHAPE, term("T.status", "active"))
    await author.put(T, "1", *EVERY_SHAPE, term("T.status", "done"))
    await assert_found(author, ["1"])
    assert await author.ids(T, Term("T.status", "active")) == []
    assert await author.ids(T, Term("T.status", "done")) == ["1"]


async def test_an_update_changes_what_only_part_of_an_entry_says(author: Author) -> None:
    await author.put(T, "1", term("T.p", "a", "s1"), text("T.n", "Li"), span("T.d", 1, 2))
    await author.put(T, "1", term("T.p", "a", "s2"), text("T.n", "LI"), span("T.d", 1, 9))
    assert await author.ids(T, Term("T.p", "a", "s1")) == []
    assert await author.ids(T, Term("T.p", "a", "s2")) == ["1"]
    assert await author.ids(T, Text("T.n", "Li", "exact", "li")) == []
    assert await author.ids(T, Text("T.n", "LI", "exact", "li")) == ["1"]
    assert await author.ids(T, within("T.d", 0, 5)) == []
    assert await author.ids(T, within("T.d", 0, 9)) == ["1"]


async def test_a_deletion_leaves_no_entry_behind(author: Author) -> None:
    await author.put(T, "1", *EVERY_SHAPE)
    await author.put(T, "2", *EVERY_SHAPE)
    await author.delete(T, "1")
    await assert_found(author, ["2"])
    assert await author.ids(T, Not(Term("T.p", "other"))) == ["2"]
    await author.put(T, "1")
    await assert_found(author, ["2"])
    assert await author.ids(T, All()) == ["1", "2"]


async def test_reindex_replaces_the_entries_of_current_versions(store: Store, author: Author) -> None:
    old = ranked(EVERY_SHAPE)
    new = ranked((term("T.x", "new"), term("T.x", "newer"), span("T.y", 1, 2)))
    first = await author.put(T, "1", *EVERY_SHAPE)
    await author.put(T, "2", *EVERY_SHAPE)
    assert await store.reindex([Reentry(T, "1", 1, old, new)]) == 1
    await assert_found(author, ["2"])
    assert await author.ids(T, Term("T.x", "newer")) == ["1"]
    assert await author.ids(T, within("T.y", 0, 3)) == ["1"]
    # it is no write: version, stamp and changes stay
    assert await store.get(T, "1") == first
    assert len(await store.changes(0, 10)) == 2
    assert await store.reindex([Reentry(T, "1", 1, new, ())]) == 1
    assert await author.ids(T, Term("T.x", "new")) == []
    assert await store.reindex([]) == 0


async def test_reindex_leaves_alone_what_has_moved_on(store: Store, author: Author) -> None:
    new = ranked((term("T.x", "new"),))
    for id in ("updated", "deleted", "same"):
        await author.put(T, id, *EVERY_SHAPE)
    await author.put(T, "updated", *EVERY_SHAPE)
    await author.delete(T, "deleted")
    stale = [Reentry(T, id, 1, ranked(EVERY_SHAPE), new) for id in ("updated", "deleted", "never", "same")]
    assert await store.reindex(stale) == 1
    assert await store.reindex([Reentry(T, "deleted", 2, (), new)]) == 0
    assert await author.ids(T, Term("T.x", "new")) == ["same"]
    assert await author.ids(T, Term("T.p", "old")) == ["updated"]
