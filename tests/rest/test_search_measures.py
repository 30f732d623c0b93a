"""search by numbers, quantities, composites, places and the modifiers of tokens, as tables: query -> what it finds
(https://hl7.org/fhir/R4/search.html#number, #quantity, #composite, #token)."""

from typing import Any

import pytest

from tests.client import Fhir, done

TAG = "measures"
UCUM, LOINC = "http://unitsofmeasure.org", "http://loinc.org"
LOCAL = "http://his.example.org/codes"


def quantity(value: float | str, code: str = "", unit: str = "", **more: str) -> dict[str, Any]:
    coded = {"system": UCUM, "code": code} if code else {}
    return {"value": value, **coded, **({"unit": unit} if unit else {}), **more}


def concept(code: str, display: str = "", text: str = "", system: str = LOINC) -> dict[str, Any]:
    coding = {"system": system, "code": code, **({"display": display} if display else {})}
    return {"coding": [coding], **({"text": text} if text else {})}


def pressure(systolic: float, diastolic: float) -> list[dict[str, Any]]:
    return [
        {"code": concept("8480-6"), "valueQuantity": quantity(systolic, "mm[Hg]", "mmHg")},
        {"code": concept("8462-4"), "valueQuantity": quantity(diastolic, "mm[Hg]", "mmHg")},
    ]


SEEN: dict[str, dict[str, Any]] = {
    "a": {"code": concept("2345-7", "Glucose", "血糖"), "valueQuantity": quantity(5.4, "mmol/L", "mmol/L")},
    "b": {"code": concept("2345-7"), "valueQuantity": quantity(5.35, "mmol/L")},
    "c": {"code": concept("2345-7"), "valueQuantity": quantity(5400, "umol/L")},
    "d": {"code": concept("718-7", "Haemoglobin"), "valueQuantity": quantity(130, "g/L")},
    "e": {"code": concept("718-7"), "valueQuantity": quantity(12.9, "g/dL")},
    "f": {"code": concept("85354-9", "Blood pressure"), "component": pressure(142, 88)},
    "g": {"code": concept("85354-9"), "component": pressure(118, 141)},
    "h": {"code": concept("x", system=LOCAL), "valueQuantity": {"value": 5.4, "unit": "片"}},
    "i": {"code": concept("2345-7"), "valueQuantity": quantity(1, "mmol/L", comparator="<")},
    "j": {"code": concept("x", system=LOCAL), "valueCodeableConcept": concept("pos", system=LOCAL)},
    "k": {"code": concept("y", system=LOCAL), "valueString": "Ｔｒａｃｅ"},
    "l": {
        "code": concept("2345-7"),
        "subject": {"identifier": {"system": "urn:his", "value": "p-7"}},
        "identifier": [
            {"type": concept("ACSN", text="检验单号", system="urn:types"), "system": "urn:his", "value": "L-1"}
        ],
    },
    "m": {"code": concept("2345-7"), "valueQuantity": quantity(-5.4, "mmol/L")},
}
CASES = [
    ("value-quantity=5.4", "abh"),
    ("value-quantity=5.4|http://unitsofmeasure.org|mmol/L", "abc"),
    ("value-quantity=5.40|http://unitsofmeasure.org|mmol/L", "ac"),
    ("value-quantity=5|http://unitsofmeasure.org|mmol/L", "abc"),
    ("value-quantity=5400|http://unitsofmeasure.org|umol/L", "ac"),
    ("value-quantity=5.4||mmol/L", "ab"),
    ("value-quantity=5.4||片", "h"),
    ("value-quantity=eq5.35", "b"),
    ("value-quantity=gt5.4|http://unitsofmeasure.org|mmol/L", ""),
    ("value-quantity=ge5.4|http://unitsofmeasure.org|mmol/L", "ac"),
    ("value-quantity=lt5.4|http://unitsofmeasure.org|mmol/L", "bim"),
    ("value-quantity=le-5.4|http://unitsofmeasure.org|mmol/L", "im"),
    ("value-quantity=ne5.4|http://unitsofmeasure.org|mmol/L", "im"),
    ("value-quantity=sa5.35|http://unitsofmeasure.org|mmol/L", "ac"),
    ("value-quantity=eb5.4|http://unitsofmeasure.org|mmol/L", "bim"),
    ("value-quantity=ap5|http://unitsofmeasure.org|mmol/L", "abc"),
    ("value-quantity=13|http://unitsofmeasure.org|g/dL", "de"),
    ("value-quantity=129|http://unitsofmeasure.org|g/L", "e"),
    ("value-quantity=5.4,130", "abdh"),
    ("value-quantity=13e1", "d"),
    ("value-quantity=1.30e2", "d"),
    ("value-quantity:missing=true", "fgjkl"),
    ("component-value-quantity=gt141|http://unitsofmeasure.org|mm[Hg]", "f"),
    ("component-value-quantity=18.9|http://unitsofmeasure.org|kPa", "f"),
    ("combo-value-quantity=gt100", "cdfg"),
    # composites: within one occurrence
    ("code-value-quantity=2345-7$5.4|http://unitsofmeasure.org|mmol/L", "abc"),
    ("code-value-quantity=718-7$gt129|http://unitsofmeasure.org|g/L", "d"),
    ("code-value-quantity=http://loinc.org|718-7$le129|http://unitsofmeasure.org|g/L", "e"),
    ("component-code-value-quantity=8480-6$gt140", "f"),
    ("component-code-value-quantity=8462-4$gt140", "g"),
    ("component-code-value-quantity=http://loinc.org|8480-6$142||mmHg", "f"),
    ("component-code-value-quantity=8480-6$118,8462-4$88", "fg"),
    ("component-code-value-quantity=8480-6$142&component-code-value-quantity=8462-4$88", "f"),
    ("component-code-value-quantity=8480-6$142&component-code-value-quantity=8462-4$141", ""),
    ("component-code-value-quantity=85354-9$gt1", ""),
    ("combo-code-value-quantity=8480-6$gt140", "f"),
    ("combo-code-value-quantity=718-7$130", "d"),
    ("code-value-concept=x$pos", "j"),
    ("code-value-concept=http://his.example.org/codes|x$http://his.example.org/codes|pos", "j"),
    ("code-value-concept=y$pos", ""),
    ("code-value-string=y$trace", "k"),
    # modifiers of tokens and references
    ("code:text=血", "a"),
    ("code:text=haemo", "d"),
    ("code:text=globin", ""),
    ("identifier:text=检验", "l"),
    ("identifier:of-type=urn:types|ACSN|L-1", "l"),
    ("identifier:of-type=urn:types|ACSN|L-2", ""),
    ("identifier:of-type=urn:other|ACSN|L-1", ""),
    ("subject:identifier=urn:his|p-7", "l"),
    ("subject:identifier=p-7", "l"),
    ("subject:identifier=urn:other|p-7", ""),
    ("code:in=http://example.org/vs/lab", "abcdeilm"),
    ("code:not-in=http://example.org/vs/lab", "fghjk"),
    ("code:in=ValueSet/measures-vs", "abcdeilm"),
    ("code:below=http://his.example.org/codes|root", "hjk"),
    ("code:below=http://his.example.org/codes|y", "k"),
    ("code:above=http://his.example.org/codes|y", "hjk"),
]


@pytest.fixture(scope="module", autouse=True)
async def seen(fhir: Fhir) -> None:
    """SEEN, stored under `measures-a`…, and the terminology of the cases."""
    tagged = {"meta": {"tag": [{"code": TAG}]}}
    await fhir.store(
        *(
            {"resourceType": "Observation", "id": f"{TAG}-{id}", **tagged, "status": "final", **one}
            for id, one in SEEN.items()
        ),
        {
            "resourceType": "ValueSet",
            "id": f"{TAG}-vs",
            "url": "http://example.org/vs/lab",
            "status": "active",
            "compose": {"include": [{"system": LOINC, "concept": [{"code": "2345-7"}, {"code": "718-7"}]}]},
        },
        {
            "resourceType": "CodeSystem",
            "id": f"{TAG}-cs",
            "url": LOCAL,
            "status": "active",
            "content": "complete",
            "concept": [
                {"code": "root", "concept": [{"code": "x", "concept": [{"code": "y"}]}]},
                {"code": "other", "property": [{"code": "parent", "valueCode": "y"}]},
            ],
        },
        {
            "resourceType": "RiskAssessment",
            "id": f"{TAG}-risk",
            **tagged,
            "status": "final",
            "subject": {"reference": "Patient/none"},
            "prediction": [{"probabilityDecimal": 0.0125}, {"probabilityDecimal": 0.7}],
        },
        *(
            {
                "resourceType": "Location",
                "id": f"{TAG}-{id}",
                **tagged,
                "position": {"latitude": latitude, "longitude": longitude},
            }
            for id, (latitude, longitude) in PLACES.items()
        ),
    )


@pytest.mark.parametrize(("query", "expected"), CASES)
async def test_a_search_by_measure_finds_what_it_should(fhir: Fhir, query: str, expected: str) -> None:
    assert "".join(sorted(id[-1] for id in await fhir.ids(f"Observation?{query}&_tag={TAG}"))) == expected


NUMBERS = [
    ("0.0125", True), ("0.013", True), ("0.01", True), ("0.012", False), ("0.0126", False), ("lt0.0125", False),
    ("le0.0125", True), ("gt0.69", True), ("gt0.7", False), ("7e-1", True), ("ne0.7", True), ("ap0.75", True),
    ("ap0.8", False), ("sa0.7", False), ("eb0.0126", True), ("-0.7", False),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "hit"), NUMBERS)
async def test_a_number_is_as_precise_as_it_is_asked(fhir: Fhir, asked: str, hit: bool) -> None:
    assert bool(await fhir.ids(f"RiskAssessment?probability={asked}&_tag={TAG}")) is hit


PLACES = {"p": (39.9042, 116.4074), "q": (39.9142, 116.4074), "r": (31.2304, 121.4737), "s": (-17.7, 179.99)}
NEAR = [
    ("39.9042|116.4074|1|km", "p"),
    ("39.9042|116.4074|1.2|km", "pq"),
    ("39.9042|116.4074|1200|m", "pq"),
    ("39.9042|116.4074", "pq"),
    ("39.9042|116.4074|1100", "pqr"),
    ("39.9042|116.4074|1000", "pq"),
    ("-17.7|-179.99|5|km", "s"),
    ("39.9042|116.4074|0|km", "p"),
    ("39.9042|116.4074|1|[mi_i]", "pq"),
    ("0|0|20100|km", "pqrs"),
]


@pytest.mark.parametrize(("asked", "expected"), NEAR)
async def test_places_are_found_by_their_distance(fhir: Fhir, asked: str, expected: str) -> None:
    assert "".join(sorted(id[-1] for id in await fhir.ids(f"Location?near={asked}&_tag={TAG}"))) == expected


URLS = ["http://example.org/m", "http://example.org/m/a", "http://example.org/m/a/b", "http://example.org/mm"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("url:below=http://example.org/m", URLS[:3]),
        ("url:below=http://example.org/m/", URLS[:3]),
        ("url:below=http://example.org/m/a", URLS[1:3]),
        ("url:above=http://example.org/m/a/b/c", URLS[:3]),
        ("url:above=http://example.org/m/a", URLS[:2]),
        ("url:above=http://example.org/mmm", []),
        ("url=http://example.org/mm", URLS[3:]),
    ],
)
async def test_uris_are_found_above_and_below_a_path(fhir: Fhir, asked: str, expected: list[str]) -> None:
    meta = {"tag": [{"code": TAG}]}
    await fhir.store(
        *(
            {"resourceType": "ValueSet", "id": f"{TAG}-url-{n}", "url": url, "status": "draft", "meta": meta}
            for n, url in enumerate(URLS)
        )
    )
    found = done(await fhir.get(f"ValueSet?{asked}&_tag={TAG}"))
    assert sorted(one["resource"]["url"] for one in found.get("entry", [])) == expected


async def test_a_quantity_is_sorted_by_whatever_its_unit(fhir: Fhir) -> None:
    page = done(await fhir.get(f"Observation?_tag={TAG}&_sort=value-quantity&_count=4"))
    assert [one["resource"]["id"][-1] for one in page["entry"]] == ["i", "m", "b", "h"]


async def test_both_components_of_a_relation_are_of_one_relation(fhir: Fhir) -> None:
    await fhir.store(
        {
            "resourceType": "DocumentReference",
            "id": f"{TAG}-doc",
            "status": "current",
            "content": [{"attachment": {"contentType": "text/plain"}}],
            "relatesTo": [
                {"code": "replaces", "target": {"reference": "DocumentReference/1"}},
                {"code": "signs", "target": {"reference": "DocumentReference/2"}},
            ],
        }
    )
    for asked, hit in [("1$replaces", True), ("DocumentReference/2$signs", True), ("2$replaces", False)]:
        assert bool(await fhir.ids(f"DocumentReference?relationship={asked}&_id={TAG}-doc")) is hit, asked
