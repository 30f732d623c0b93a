"""Random valid resources and random searches over them, for the test that the evaluators agree.

Values come from small pools, so that hits and near misses are common: 汉字 within and beyond the BMP, accents, full
width, the characters that mean something to SQL, to regular expressions and to FHIR's own escapes.
"""

import html
from typing import Any

from hypothesis import strategies as st

from server.model import tables
from server.search import words
from server.search.index import left_out
from server.search.kinds import KINDS
from server.search.kinds.string import normal
from tests.servers import BASE

Resource = dict[str, Any]

WORDS = st.one_of(
    st.sampled_from([
        "王", "王小明", "小明", "𠮷田", "吉田", "𠮷", "𪚥", "Müller", "MULLER", "mu\u0308ller", "ＷＡＮＧ", "wang",
        "José", "jose", "Straße", "STRASSE", "ﬁn", "fin", "a b", "a  b", " a", "%", "_", "a_b", "a%b", ".*", "^a", "$",
        "a\\b", "a,b", "a|b",
        "'", '"', "--", "１２", "12", "½", "İ", "i\u0307", "\uffee", "\ue000", "가", "각", "ा",
    ]),
    st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=4).filter(lambda text: text.strip() == text),
)  # fmt: skip
CODES = st.sampled_from(["1", "2", "A", "a", "a|b", "x,y", "$", "𠮷", "王", "a\\", "%", "1.0", "b b"])
SYSTEMS = st.sampled_from(["urn:a", "urn:b", "http://example.org/a|b", None])
DATES = st.one_of(
    st.sampled_from([
        "2024", "2024-05", "2024-05-17", "2024-05-18", "2024-02-29", "2023-12-31", "1949-10-01", "9999-12-31",
        "0001-01-01", "1991-04-14", "1986-05-04",
    ]),
    st.dates().map(lambda day: day.isoformat()),
)  # fmt: skip
TIMES = st.one_of(
    DATES,
    st.sampled_from([
        "2024-05-17T08:30:00+08:00", "2024-05-17T00:30:00Z", "2024-05-17T08:30:00.123+08:00",
        "2024-05-16T23:59:59-06:00", "2024-05-17T00:00:00+08:00", "2024-05-16T16:00:00Z", "2024-12-31T23:59:60Z",
    ]),
)  # fmt: skip
PATIENTS = st.sampled_from([
    "Patient/1", "Patient/2", f"{BASE}/Patient/1", "Patient/1/_history/3", "http://other.example.org/fhir/Patient/1",
    "urn:uuid:8d2ae2a4-4d5c-4a3c-9fd3-4e6a3a1b9f10", "Group/1",
])  # fmt: skip
PERFORMERS = st.sampled_from(["Practitioner/1", "Organization/1", "Practitioner/2", f"{BASE}/Organization/1"])
URIS = st.sampled_from(
    ["http://example.org/a", "http://example.org/a|1", "http://example.org/A", "urn:oid:1.2", "urn:王"]
)
ASKED_DATES = st.one_of(
    TIMES.filter(lambda text: not text.endswith("60Z")), st.sampled_from(["2024-05-17T08:30", "2024-05-17T08:30:00"])
)


def some(strategy: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(strategy, min_size=1, max_size=most)


NARRATIVE = WORDS.map(
    lambda text: {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{html.escape(text)}</div>',
    }
)


def reference(targets: st.SearchStrategy[str]) -> st.SearchStrategy[Resource]:
    return targets.map(lambda target: {"reference": target})


CODING = st.builds(
    lambda code, system: {"code": code, **({"system": system} if system else {})},
    CODES.filter(lambda code: code == code.strip()),
    SYSTEMS,
)
CONCEPT = st.one_of(some(CODING).map(lambda codings: {"coding": codings}), WORDS.map(lambda text: {"text": text}))
IDENTIFIER = st.builds(
    lambda value, system: {"value": value, **({"system": system} if system else {})}, CODES | WORDS, SYSTEMS
)
NAME = st.fixed_dictionaries({}, optional={"family": WORDS, "given": some(WORDS), "text": WORDS}).filter(bool)
ADDRESS = st.fixed_dictionaries({}, optional={"city": WORDS, "line": some(WORDS), "text": WORDS}).filter(bool)
NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 5, 5.4, 5.35, 5.45, 5.40, 100, 99.5, 100.5, 1e-7, -0.5, 1e20, 12.9, 129, 0.1, 0.3]),
    st.decimals(-10, 10, places=2).map(float),
)
UNITS = st.sampled_from(["mg", "g", "mmol/L", "umol/L", "Cel", "[degF]", "[iU]/L", "片", ""])
MEASURES = st.sampled_from(["http://unitsofmeasure.org", "http://unitsofmeasure.org", "urn:units", None])
QUANTITY = st.builds(
    lambda value, code, system, unit, comparator: {
        "value": value,
        **({"code": code} if code else {}),
        **({"system": system} if system and code else {}),
        **({"unit": unit} if unit else {}),
        **({"comparator": comparator} if comparator else {}),
    },
    NUMBERS, UNITS, MEASURES, UNITS, st.sampled_from([None, None, None, "<", "<=", ">", ">="]),
)  # fmt: skip
EXACT = QUANTITY.map(lambda found: {name: value for name, value in found.items() if name != "comparator"})
RANGE = st.fixed_dictionaries({}, optional={"low": EXACT, "high": EXACT}).filter(bool)
SAMPLED = st.builds(
    lambda origin, low, high: {
        "origin": origin, "period": 1, "dimensions": 1, "data": "E",
        **({"lowerLimit": low} if low is not None else {}), **({"upperLimit": high} if high is not None else {}),
    },
    EXACT, st.none() | NUMBERS, st.none() | NUMBERS,
)  # fmt: skip
POSITION = st.builds(
    lambda latitude, longitude: {"latitude": latitude, "longitude": longitude},
    st.sampled_from([0, 39.9042, 39.9, 40, -90, 90, 89.99]), st.sampled_from([0, 116.4074, 116.4, 180, -180, 179.99]),
)  # fmt: skip
AGE = NUMBERS.filter(lambda n: n > 0).map(
    lambda n: {"value": n, "system": "http://unitsofmeasure.org", "code": "a", "unit": "岁"}
)
PERIOD = st.fixed_dictionaries({}, optional={"start": TIMES, "end": TIMES}).filter(bool)
TIMING = some(TIMES, 2).map(lambda events: {"event": events})
META = st.fixed_dictionaries({}, optional={"tag": some(CODING), "profile": some(URIS), "security": some(CODING)})


_CHOICES = ("choice", "value")  # given as one strategy of (name, value)


def resource(type: str, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Resource]:
    """Members whose name ends in `_` are required; _CHOICES apart."""
    required = {name.rstrip("_"): value for name, value in members.items() if name.endswith("_")}
    optional = {name: value for name, value in members.items() if not name.endswith("_") and name not in _CHOICES}
    plain = st.fixed_dictionaries(required, optional={**optional, "meta": META.filter(bool), "text": NARRATIVE})
    chosen = [members.get(name, st.just(())) for name in _CHOICES]
    return st.builds(
        lambda one, *two: {"resourceType": type, **one, **dict(pair for pair in two if pair)}, plain, *chosen
    )


def named(name: str, strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(name), strategy)


COMPONENT = st.builds(
    lambda code, value: {"code": code, **dict([value] if value else [])},
    CONCEPT,
    st.one_of(
        st.just(()), named("valueQuantity", QUANTITY), named("valueCodeableConcept", CONCEPT),
        named("valueSampledData", SAMPLED),
    ),
)  # fmt: skip
STATUS = st.sampled_from(["active", "draft", "unknown"])
RESOURCES: dict[str, st.SearchStrategy[Resource]] = {
    "Patient": resource(
        "Patient", name=some(NAME), identifier=some(IDENTIFIER), birthDate=DATES, address=some(ADDRESS),
        gender=st.sampled_from(["male", "female", "other", "unknown"]), active=st.booleans(),
        telecom=some(CODES.map(lambda value: {"system": "phone", "value": value})),
        generalPractitioner=some(reference(PERFORMERS)), managingOrganization=reference(PERFORMERS),
        choice=st.just(()) | named("deceasedBoolean", st.booleans()) | named("deceasedDateTime", TIMES),
    ),
    "Observation": resource(
        "Observation", status_=st.sampled_from(["final", "amended"]), code_=CONCEPT, identifier=some(IDENTIFIER),
        category=some(CONCEPT), subject=reference(PATIENTS), performer=some(reference(PERFORMERS)),
        value=st.just(()) | named("valueString", WORDS) | named("valueQuantity", QUANTITY)
        | named("valueCodeableConcept", CONCEPT) | named("valueSampledData", SAMPLED) | named("valuePeriod", PERIOD),
        component=some(COMPONENT),
        choice=named("effectiveDateTime", TIMES) | named("effectivePeriod", PERIOD) | named("effectiveTiming", TIMING),
    ),
    "ServiceRequest": resource(
        "ServiceRequest", status_=STATUS, intent_=st.sampled_from(["order", "plan"]), subject_=reference(PATIENTS),
        authoredOn=TIMES, code=CONCEPT, performer=some(reference(PERFORMERS)), identifier=some(IDENTIFIER),
        instantiatesCanonical=some(URIS), instantiatesUri=some(URIS), requester=reference(PERFORMERS),
        choice=st.just(()) | named("occurrenceDateTime", TIMES) | named("occurrencePeriod", PERIOD),
    ),
    "Condition": resource(
        "Condition", subject_=reference(PATIENTS), code=CONCEPT, recordedDate=TIMES,
        choice=st.just(()) | named("onsetAge", AGE) | named("onsetRange", RANGE) | named("onsetDateTime", TIMES),
    ),
    "Location": resource("Location", name=WORDS, position=POSITION, address=ADDRESS),
    "RiskAssessment": resource(
        "RiskAssessment", status_=st.just("final"), subject_=reference(PATIENTS),
        prediction=some(NUMBERS.filter(lambda n: 0 <= n <= 100).map(lambda n: {"probabilityDecimal": n})),
    ),
    "DocumentReference": resource(
        "DocumentReference", status_=st.just("current"), category=some(CONCEPT),
        content_=st.just([{"attachment": {"contentType": "text/plain"}}]),
        relatesTo=some(st.builds(
            lambda code, target: {"code": code, "target": {"reference": target}},
            st.sampled_from(["replaces", "signs"]), st.sampled_from(["DocumentReference/1", "DocumentReference/2"]),
        )),
    ),
    "ValueSet": resource(
        "ValueSet", status_=STATUS, url=URIS, version=CODES, name=WORDS, title=WORDS, description=WORDS, date=TIMES,
        jurisdiction=some(CONCEPT), identifier=some(IDENTIFIER),
    ),
}  # fmt: skip


# -------------------------------------------------------------------------------------------------------- searches
def escape(value: str) -> str:
    for char in ("\\", ",", "|", "$"):
        value = value.replace(char, f"\\{char}")
    return value


def _token(_: list[Any]) -> st.SearchStrategy[str]:
    code = CODES.map(escape) | st.sampled_from(["male", "final", "active", "true", "false", "order"])
    system = SYSTEMS.map(lambda s: escape(s or ""))
    both = st.builds(lambda s, c: f"{s}|{c}", system, code)
    return st.one_of(code, both, SYSTEMS.filter(bool).map(lambda s: f"{escape(str(s))}|"))


def _string(there: list[Any]) -> st.SearchStrategy[str]:
    words = WORDS.filter(lambda word: normal(word))
    if not there:
        return words.map(escape)
    cut = st.builds(
        lambda text, a, b: text[a : a + b], st.sampled_from(there), st.integers(0, 2), st.integers(1, 4)
    ).filter(lambda word: normal(word))
    return st.one_of(words, cut, st.sampled_from(there).filter(lambda word: normal(word))).map(escape)


def _date(_: list[Any]) -> st.SearchStrategy[str]:
    prefixes = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"])
    return st.builds(lambda prefix, date: prefix + date, prefixes, ASKED_DATES)


def _reference(_: list[Any]) -> st.SearchStrategy[str]:
    return st.one_of(PATIENTS, PERFORMERS, URIS.map(escape), st.sampled_from(["1", "2", "9"]))


def _uri(_: list[Any]) -> st.SearchStrategy[str]:
    return URIS.map(escape)


def _number(_: list[Any]) -> st.SearchStrategy[str]:
    prefixes = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
    spelled = st.one_of(NUMBERS.map(str), st.sampled_from(["5.400", "1e2", "54e-1", "1.0E2", "+5", "-0"]))
    return st.builds(lambda prefix, number: prefix + number, prefixes, spelled)


def _quantity(there: list[Any]) -> st.SearchStrategy[str]:
    unit = st.builds(lambda s, c: f"|{escape(s or '')}|{escape(c)}", MEASURES, UNITS.filter(bool))
    return st.builds(lambda number, unit: number + unit, _number(there), unit | st.just("") | st.just("||mg"))


def _near(_: list[Any]) -> st.SearchStrategy[str]:
    distance = st.sampled_from(["", "|0", "|1|km", "|5000|m", "|300|[mi_i]", "|19000"])
    return st.builds(lambda at, far: f"{at['latitude']}|{at['longitude']}{far}", POSITION, distance)


_VALUES = {
    "token": _token, "string": _string, "date": _date, "reference": _reference, "uri": _uri, "number": _number,
    "quantity": _quantity, "special": _near,
}  # fmt: skip
_MODIFIERS = {
    "token": ["not", "text", "of-type"], "string": ["exact", "contains"], "uri": ["above", "below"],
    "reference": ["Patient", "Practitioner", "identifier"],
}  # fmt: skip
_MODIFIED = {
    "text": _string,
    "of-type": lambda _: st.builds(lambda s, c, v: f"{escape(s or '')}|{escape(c)}|{escape(v)}", SYSTEMS, CODES, CODES),
    "identifier": _token,
}


@st.composite
def criteria(draw: st.DrawFn, type: str, there: list[str]) -> tuple[str, str]:
    """One `name:modifier=a,b`; `there`: texts that stand in the resources."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(_TEXTS)), draw(_string(there).filter(words.asked))
    known = usable(type)
    code = draw(st.sampled_from(sorted(known)))
    kind = known[code]
    if kind != "composite" and draw(st.integers(0, 9)) == 0:
        return f"{code}:missing", draw(st.sampled_from(["true", "false"]))
    modifier = draw(st.sampled_from(["", "", *_MODIFIERS.get(kind, ())]))
    if kind == "composite":
        return code, ",".join(draw(st.lists(_together(type, code, there), min_size=1, max_size=2)))
    if modifier in _MODIFIED:
        values = _MODIFIED[modifier](there)
    elif kind == "reference" and modifier:
        values = st.sampled_from(["1", "2", f"{modifier}/1"])
    else:
        values = _VALUES[kind](there)
    return f"{code}:{modifier}".rstrip(":"), ",".join(draw(st.lists(values, min_size=1, max_size=3)))


def _together(type: str, code: str, there: list[Any]) -> st.SearchStrategy[str]:
    """`a$b` of a composite."""
    parameters = tables.search_parameters(type)
    kinds = [parameters[component.code].kind for component in parameters[code].components]
    return st.tuples(*(_VALUES[kind](there) for kind in kinds)).map("$".join)


_TEXTS = ("_text", "_content")


def usable(type: str) -> dict[str, str]:
    """Code -> kind of the parameters that the server knows how to search by."""
    return {
        code: parameter.kind
        for code, parameter in tables.search_parameters(type).items()
        if code not in left_out(type) and code not in ("_id", "_lastUpdated", *_TEXTS)
    }


def sort_keys(type: str) -> st.SearchStrategy[str]:
    keys = [
        *(code for code, kind in sorted(usable(type).items()) if kind in KINDS and KINDS[kind].sortable),
        "_id",
        "_lastUpdated",
    ]
    signed = st.builds(lambda sign, key: sign + key, st.sampled_from(["", "-"]), st.sampled_from(keys))
    distinct = st.lists(signed, min_size=1, max_size=2, unique_by=lambda key: key.lstrip("-"))
    return distinct.map(",".join)


def texts(value: Any) -> list[str]:
    """All strings in a resource."""
    if isinstance(value, str):
        return [value]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for child in children for text in texts(child)]
