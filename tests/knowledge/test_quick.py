"""Resources of every type, generated from the tables and broken at random: fast path, walker and fhir.resources agree.

The fast path may only say yes where the walker finds nothing. fhir.resources (R4B, pydantic) is a second opinion on
the types this project uses most; where the two differ on purpose, the mutation says why.
"""

import copy
import itertools
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from server.errors import Issue
from server.model import tables
from server.validation import quick, structure

Json = dict[str, Any]

TYPES = sorted(tables.resource_types())
VALUES: dict[str, list[Any]] = {
    "boolean": [True, False],
    "integer": [0, -1, 2147483647],
    "unsignedInt": [0, 7],
    "positiveInt": [1, 2147483647],
    "decimal": [1, 0.5, -3.25],
    "string": ["高血压　随访", "x", "line\nline", "🏥 a"],
    "markdown": ["# 标题\n\n* a"],
    "uri": ["http://example.org/a", "urn:oid:1.2.156", "中文"],
    "url": ["http://example.org/a?b=c"],
    "canonical": ["http://example.org/a|1.0"],
    "code": ["a", "a b", "中"],
    "id": ["a-1.B"],
    "oid": ["urn:oid:1.2.156.10011"],
    "uuid": ["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
    "date": ["2024", "2024-02", "2024-02-29"],
    "dateTime": ["2024", "2024-12-31", "2024-02-29T23:59:60.5+08:00"],
    "instant": ["2024-02-29T08:00:00Z"],
    "time": ["08:30:00"],
    "base64Binary": ["YQ==", "YWJj"],
    "xhtml": ['<div xmlns="http://www.w3.org/1999/xhtml"><p>正常</p></div>'],
}
RULED = {"mimetypes": "application/fhir+json", "currencies": "CNY", "ucum": "mg", "unknown": "LA1-1"}


# ------------------------------------------------------------------------------------------- valid resources
def example(rng: random.Random, path: str, depth: int = 0) -> Json:
    """A valid object of a node: all that is required, some of the rest, less of it further down."""
    made: Json = {"resourceType": path} if path in tables.resource_types() else {}
    elements = [
        element for element in tables.node(path) if element.min or rng.random() < (0.4, 0.2, 0.1, 0.02)[min(depth, 3)]
    ]
    for element in elements:
        name, type_ = rng.choice(list(element.json_names.items()))
        if element.min or depth < 6:
            add(rng, made, element, name, type_, depth)
    if set(made) <= {"resourceType"} and not made:
        element = next(e for e in tables.node(path) if e.name not in ("id", "extension", "modifierExtension"))
        name, type_ = next(iter(element.json_names.items()))
        add(rng, made, element, name, type_, depth)
    return made


def add(rng: random.Random, made: Json, element: tables.Element, name: str, type_: str, depth: int) -> None:
    if element.max == 1:
        made[name] = value(rng, element, type_, depth)
        if type_ in tables.primitives() and not element.plain and not element.choice and rng.random() < 0.05:
            made[f"_{name}"] = {"extension": [{"url": "http://example.org/e", "valueCode": "x"}]}
    else:
        made[name] = [value(rng, element, type_, depth) for _ in range(max(element.min, rng.choice((1, 1, 2))))]


def value(rng: random.Random, element: tables.Element, type_: str, depth: int) -> Any:
    bound = tables.value_set(element.value_set) if element.value_set else None
    if type_ == "code" and bound:
        return RULED[bound.rule] if bound.rule else rng.choice(sorted(bound.codes))
    if type_ in VALUES:
        return rng.choice(VALUES[type_])
    if type_ == "CodeableConcept" and bound:
        system, codes = next(
            iter(bound.systems.items()), ("http://unitsofmeasure.org", frozenset({RULED[bound.rule or "ucum"]}))
        )
        return {"coding": [{"system": system, "code": min(codes)}]}
    if type_ == "Reference":
        return {"reference": f"{rng.choice(element.targets or ('Patient',))}/1"}
    if type_ == "Resource":
        return example(rng, rng.choice(("Patient", "Basic", "Observation", "Bundle")), depth + 2)
    return example(rng, type_, depth + 1)


def resource(type_: str, seed: int) -> Json:
    made = example(random.Random(seed), type_)
    for found in objects(made):
        if found is not made and "comparator" in found:
            del found["comparator"]  # an element that is a SimpleQuantity has none
            found.setdefault("unit", "mg")
    return made


def objects(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(item)


# -------------------------------------------------------------------------------------------------- mutations
ODD: list[Any] = [
    *(None, True, False, 0, -1, 2**31, 10**400, 1.0, 1.5, float("inf"), float("nan")),
    *("", "x", " ", "a  b", "\x00", "a\x0bb", "\ud800", "　", "2023-02-30", "2024-13"),
    *("Patient/1", "Foo/1", "#a", "urn:uuid:1", "http://example.org/fhir/Patient/1/_history/2"),
    *([], {}, [None], [[]], [{}], [""], ["x"], [1], {"x": 1}, {"extension": []}, {"url": "http://example.org"}),
    *({"reference": "Medication/1"}, {"type": "Foo"}, {"reference": "Patient", "type": "Foo"}),
    *({"resourceType": "Patient"}, {"resourceType": "Basic"}, {"resourceType": ["Patient"]}),
    *({"coding": [None]}, {"coding": [{"system": [], "code": {}}]}, {"value": 1, "comparator": "<"}),
    '<div xmlns="http://www.w3.org/1999/xhtml"><p>a</div>',
    '<div xmlns="http://www.w3.org/1999/xhtml"><script/></div>',
]
KEYS = [
    "_id",
    "id",
    "extension",
    "_extension",
    "resourceType",
    "valueString",
    "valueBoolean",
    "foo",
    "",
    "`",
    "contained",
    "_text",
]


def deep(levels: int) -> Json:
    made: Json = {"url": "http://example.org/e", "valueCode": "x"}
    for _ in range(levels):
        made = {"url": "http://example.org/e", "extension": [made]}
    return made


def sibling(rng: random.Random, key: str) -> str:
    """Another name of what may be the same choice: `valueString` for `valueQuantity`."""
    stem = key.rstrip("abcdefghijklmnopqrstuvwxyz0123456789")[:-1]
    return stem + rng.choice(("String", "Boolean", "Integer", "DateTime", "Quantity", "Reference", "CodeableConcept"))


def mutate(rng: random.Random, whole: Json) -> None:
    """Breaks (or only changes) one place."""
    owner = rng.choice(list(objects(whole)))
    key = rng.choice(list(owner)) if owner else "foo"
    now = owner.get(key)
    odd = copy.deepcopy(rng.choice(ODD))
    levels = rng.choice((1, 30, 70, 79, 80, 85, 97, 98, 99, 100, 101, 120))
    changes: list[Callable[[], Json]] = [
        lambda: {key: odd},
        lambda: {key: [now]},
        lambda: {key: now[0] if isinstance(now, list) and now else {"x": now}},
        lambda: {key: [*now, odd] if isinstance(now, list) else [now, odd]},
        lambda: {key: str(now) if not isinstance(now, str) else now + rng.choice((" ", "\n", "x", "\x1f"))},
        lambda: {key + "x": owner.pop(key, None)},
        lambda: {"_" + key: rng.choice([odd, {"id": "a"}, [{"id": "a"}], [None, {"id": "a"}]])},
        lambda: {rng.choice(KEYS): odd},
        lambda: {"extension": [deep(levels)]},
        lambda: {rng.choice(KEYS): copy.deepcopy(now)},
        lambda: {rng.choice(KEYS): owner.pop(key, None)},
        lambda: {rng.choice(("", "_")) + sibling(rng, key): rng.choice([odd, now, {"id": "a"}, "x", True, 1])},
    ]
    if rng.random() < 0.1:
        owner.pop(key, None)
    else:
        owner.update(rng.choice(changes)())


# ------------------------------------------------------------------------------------------------------ tests
@pytest.mark.parametrize("type_", TYPES)
def test_generated_resources_of_every_type_are_valid_for_walker_and_fast_path(type_: str) -> None:
    for seed in range(6):
        made = resource(type_, seed)
        assert structure.walk(made) == [], made
        assert quick.ok(made), made


@settings(max_examples=800, deadline=None)
@given(st.sampled_from(TYPES), st.integers(0, 2**32), st.integers(1, 2))
def test_the_fast_path_says_yes_only_where_the_walker_finds_nothing(type_: str, seed: int, times: int) -> None:
    rng = random.Random(seed)
    broken = resource(type_, seed % 50)
    for _ in range(times):
        mutate(rng, broken)
    assert_sound(broken)
    issues = structure.check(broken)
    assert issues == structure.walk(broken)
    assert all(isinstance(issue, Issue) and issue.diagnostics for issue in issues)


@pytest.mark.parametrize("type_", TYPES)
def test_no_odd_value_of_any_element_is_accepted_in_haste(type_: str) -> None:
    whole = bare(type_)
    assert quick.ok(whole)
    for element in tables.node(type_):
        names = list(element.json_names)
        for odd in (None, [], {}, [None], [{}], "", 1.5, {"id": "a"}, [{"id": "a"}], ["a  b"], True):
            for name in [*names[:2], *(f"_{name}" for name in names[:2])]:
                assert_sound({**whole, name: odd})


@pytest.mark.parametrize("type_", [*TYPES, "Extension"])
def test_two_of_a_choice_are_never_accepted(type_: str) -> None:
    whole = bare("Basic" if type_ == "Extension" else type_)
    for element in tables.node(type_):
        names = list(element.json_names)[:12]
        for one, two in itertools.permutations([*names, *(f"_{name}" for name in names)], 2):
            if element.choice and one.lstrip("_") != two.lstrip("_"):
                pair = {name: {"id": "a"} if name[0] == "_" else valid(element, name) for name in (one, two)}
                broken = {**whole, "extension": [{"url": "x", **pair}]} if type_ == "Extension" else {**whole, **pair}
                assert not quick.ok(broken), broken
                assert any("Only one of" in issue.diagnostics for issue in structure.walk(broken))


def bare(type_: str) -> Json:
    """A resource with what is required and nothing else."""
    required = [(element, next(iter(element.json_names))) for element in tables.node(type_) if element.min]
    values = {name: valid(element, name) for element, name in required}
    lists = {name for element, name in required if element.max != 1}
    return {"resourceType": type_} | {name: [made] if name in lists else made for name, made in values.items()}


def valid(element: tables.Element, name: str) -> Any:
    return value(random.Random(1), element, element.json_names[name], 3)


def assert_sound(whole: Json) -> None:
    issues = structure.walk(whole)
    assert not (quick.ok(whole) and issues), (whole, issues)


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(["Patient", "2024", "a"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.text(max_size=3),
                st.sampled_from([*KEYS, "name", "given", "_given", "text", "div", "coding", "entry"]),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None)
@given(JSON, st.sampled_from(["Patient", "Bundle", "Observation", "Parameters", "Basic", "List"]))
def test_any_json_value_is_judged_without_an_exception(value: Any, type_: str) -> None:
    assert isinstance(structure.check(value), list)
    whole = {**value, "resourceType": type_} if isinstance(value, dict) else {"resourceType": type_, "extension": value}
    issues = structure.check(whole)
    assert quick.ok(whole) <= (not issues)


def test_most_real_looking_mutants_are_caught() -> None:
    rng = random.Random(7)
    caught = 0
    for seed in range(300):
        broken = resource("ServiceRequest", seed)
        mutate(rng, broken)
        caught += bool(structure.check(broken))
    assert caught > 150


# ------------------------------------------------------------------------------------------- a second opinion
CORE = """
    AllergyIntolerance Appointment AuditEvent Basic CarePlan CareTeam Communication Composition Condition Consent
    Coverage DiagnosticReport DocumentReference Encounter Goal Group Immunization List Location MedicationRequest
    MedicationStatement Observation Organization Patient Practitioner PractitionerRole Procedure Provenance
    Questionnaire QuestionnaireResponse Schedule ServiceRequest Slot Task
"""


def fits_pydantic(whole: Json) -> bool:
    try:
        get_fhir_model_class(whole["resourceType"]).model_validate_json(json.dumps(whole))
    except (ValidationError, TypeError):  # its url type crashes on an object
        return False
    return True


def within_r4b(type_: str, seed: int) -> Json:
    """A valid resource without what the R4B models do not know: `_field` of some choices, Meta in an extension."""
    made = resource(type_, seed)
    for found in objects(made):
        for key in [key for key in found if key.startswith("_")]:
            del found[key]
        if "valueMeta" in found:
            found["valueString"] = found.pop("valueMeta")["id"] = "x"
    return made


Change = Callable[[Json, str, Any], Json]


def when(kind: type | tuple[type, ...], change: Callable[[Any], Any]) -> Change:
    return lambda owner, key, now: (
        {key: change(now)} if type(now) in (kind if isinstance(kind, tuple) else (kind,)) else {}
    )


# Changes that both judge alike.
ALIKE: dict[str, Change] = {
    "unknown element": lambda owner, key, now: {"foo": 1},
    "list around a value": lambda owner, key, now: {key: [now]},
    "value without its list": when(list, lambda now: now[0]),
    "object for a primitive": when((str, int, float, bool), lambda now: {"x": 1}),
    "string for an object": when(dict, lambda now: "x"),
    "a second choice": lambda owner, key, now: {"valueString": "x"} if key[:5] == "value" and "url" in owner else {},
    "a day that does not exist": lambda owner, key, now: {key: "2023-02-30"} if now in VALUES["dateTime"] else {},
}
# Changes that fhir.resources lets through in part, and why we do not.
STRICTER: dict[str, tuple[str, Change]] = {
    "null": (
        "JSON null stands for nothing in FHIR; pydantic takes it for an absent element",
        lambda o, k, now: {k: None},
    ),
    "null in a list": ("pydantic allows None in every list of primitives", when(list, lambda now: [*now, None])),
    "empty string": ("pydantic refuses it for some types only", when(str, lambda now: "")),
    "empty list": ("arrays must not be empty", when(list, lambda now: [])),
    "empty object": ("objects must not be empty", when(dict, lambda now: {})),
    "string for a number": ("pydantic converts", when((int, float), str)),
    "string for a boolean": ("pydantic converts", when(bool, lambda now: "true")),
    "number for a string": ("pydantic takes a number for seconds since 1970", when(str, lambda now: 5)),
    "leading space": ("pydantic does not check the pattern of uri", when(str, lambda now: " " + now)),
}


def changed(kind: str, change: Change) -> Iterator[Json]:
    """Valid resources of the core types, each with one place changed, where there is a place that can be."""
    rng = random.Random(kind)
    for type_ in CORE.split():
        for seed in range(8):
            whole = within_r4b(type_, seed)
            places = [(owner, key) for owner in objects(whole) for key in owner if key != "resourceType"]
            for owner, key in rng.sample(places, len(places)):
                news = change(owner, key, owner[key])
                if not news.items() <= owner.items():
                    owner.update(news)
                    yield whole
                    break


@pytest.mark.parametrize("type_", CORE.split())
def test_a_valid_resource_is_valid_for_fhir_resources_too(type_: str) -> None:
    for seed in range(20):
        whole = within_r4b(type_, seed)
        assert fits_pydantic(whole) and structure.check(whole) == [], whole


def errors(whole: Json) -> list[Issue]:
    return [issue for issue in structure.check(whole) if issue.severity == "error"]


@pytest.mark.parametrize("kind", ALIKE)
def test_a_change_is_judged_as_fhir_resources_judges_it(kind: str) -> None:
    verdicts = [(not errors(whole), fits_pydantic(whole), whole) for whole in changed(kind, ALIKE[kind])]
    assert verdicts
    assert [whole for ours, theirs, whole in verdicts if ours != theirs] == []


@pytest.mark.parametrize("kind", STRICTER)
def test_a_change_that_fhir_resources_refuses_is_refused_here(kind: str) -> None:
    verdicts = [(not errors(whole), fits_pydantic(whole), whole) for whole in changed(kind, STRICTER[kind][1])]
    assert [whole for ours, theirs, whole in verdicts if ours and not theirs] == []
    assert any(theirs and not ours for ours, theirs, _ in verdicts), "no difference left: move it to ALIKE"


def test_an_element_that_fhir_resources_misses_is_missed_here() -> None:
    refused = 0
    for type_ in CORE.split():
        whole = within_r4b(type_, 3)
        for key in list(whole):
            short = {k: v for k, v in whole.items() if k != key}
            if key != "resourceType" and not fits_pydantic(short):
                refused += 1
                assert "required" in {issue.code for issue in errors(short)}, (type_, key)
    assert refused > 30
