"""$convert-data: messages of the adapters' own samples become transactions, and what cannot be read says so."""

import base64
from pathlib import Path

import pytest

from tests.client import Fhir, Resource, codes, done, refused

SAMPLES = Path(__file__).parents[2] / "adapters" / "samples"
RECOGNISED = sorted(
    path.relative_to(SAMPLES)
    for folder in ("hl7v2", "cda", "regional")
    for path in (SAMPLES / folder).iterdir()
    if "not_well_formed" not in path.name and "without_receiver" not in path.name
)


def sent(content: bytes | str, **more: str) -> Resource:
    """Bytes go as base64, text as it is."""
    if isinstance(content, str):
        given = [{"name": "inputData", "valueString": content}]
    else:
        given = [{"name": "inputBytes", "valueBase64Binary": base64.b64encode(content).decode()}]
    given += [
        {"name": name, "valueCode" if name == "inputDataType" else "valueString": text} for name, text in more.items()
    ]
    return {"resourceType": "Parameters", "parameter": given}


def parts(answer: Resource, name: str) -> list[Resource]:
    return [one["resource"] for one in answer["parameter"] if one["name"] == name]


@pytest.mark.parametrize("path", RECOGNISED, ids=str)
async def test_a_message_of_each_sample_becomes_a_transaction(face: Fhir, path: Path) -> None:
    content = (SAMPLES / path).read_bytes()
    answer = done(await face.post("$convert-data", sent(content, fileName=path.name)))
    bundles = parts(answer, "return")
    assert bundles
    assert {bundle["type"] for bundle in bundles} == {"transaction"}
    for outcome in parts(answer, "outcome"):
        assert {issue["severity"] for issue in outcome["issue"]} <= {"warning", "information"}


async def test_the_transaction_can_be_sent_and_changes_nothing_the_second_time(fhir: Fhir) -> None:
    content = (SAMPLES / "hl7v2" / "ADT_A01.hl7").read_bytes().decode()
    for _ in range(2):
        bundle = parts(done(await fhir.post("$convert-data", sent(content))), "return")[0]
        answers = done(await fhir.post("", bundle))["entry"]
    assert {one["response"]["status"][:3] for one in answers} == {"200"}


async def test_nothing_is_stored_by_converting(empty: Fhir) -> None:
    done(await empty.post("$convert-data", sent((SAMPLES / "hl7v2" / "ADT_A01.hl7").read_bytes())))
    assert done(await empty.get("_history")).get("entry", []) == []


async def test_decimals_keep_the_digits_of_the_message(face: Fhir) -> None:
    answer = await face.post("$convert-data", sent((SAMPLES / "hl7v2" / "REF_I12.hl7").read_bytes()))
    assert b'"value":6.10,' in answer.content


async def test_several_messages_give_a_transaction_each_and_a_bad_one_is_named(face: Fhir) -> None:
    good = (SAMPLES / "hl7v2" / "ADT_A01.hl7").read_bytes().decode().rstrip("\r\n")
    bad = "MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.4\r"
    answer = done(await face.post("$convert-data", sent(f"{good}\r{bad}")))
    assert len(parts(answer, "return")) == 1
    errors = [i["diagnostics"] for i in parts(answer, "outcome")[0]["issue"] if i["severity"] in ("fatal", "error")]
    assert errors
    assert all(text.startswith("message 2, ") for text in errors)


async def test_a_message_that_cannot_be_read_is_refused_with_its_line(face: Fhir) -> None:
    content = (SAMPLES / "cda" / "discharge_summary_not_well_formed.xml").read_bytes()
    for body in (sent(content), sent(content, inputDataType="cda")):
        issue = refused(await face.post("$convert-data", body), 422)
        assert issue["severity"] in ("fatal", "error")
        assert "line " in issue["diagnostics"]


async def test_a_message_that_lacks_what_it_is_about_is_refused_with_its_field(face: Fhir) -> None:
    content = (SAMPLES / "regional" / "treatment_referral_without_receiver.csv").read_bytes()
    issue = refused(await face.post("$convert-data", sent(content)), 422)
    assert issue["code"] == "required"
    assert "line 2, zxjgdm" in issue["diagnostics"]


async def test_what_no_adapter_recognises_is_refused(face: Fhir) -> None:
    issue = refused(await face.post("$convert-data", sent("good morning")), 422)
    assert all(name in issue["diagnostics"] for name in ("hl7v2", "cda", "regional_json"))
    refused(await face.post("$convert-data", sent("good morning", inputDataType="hl7v2")), 422)
    refused(await face.post("$convert-data", sent(b"\x00\xff\xfe")), 422)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (sent("MSH", inputDataType="fax"), "inputDataType"),
        ({"resourceType": "Parameters"}, "inputData"),
        ({"resourceType": "Parameters", "parameter": sent("a")["parameter"] + sent(b"a")["parameter"]}, "inputData"),
        ({"resourceType": "Parameters", "parameter": [{"name": "inputBytes", "valueBase64Binary": "a"}]}, None),
        ({"resourceType": "Basic", "code": {"text": "x"}}, "http.body"),
    ],
)
async def test_a_call_that_makes_no_sense_is_refused(face: Fhir, body: Resource, names: str | None) -> None:
    issue = refused(await face.post("$convert-data", body), 400)
    assert names is None or issue["expression"] == [names]


async def test_problems_have_codes_of_fhir(face: Fhir) -> None:
    content = (SAMPLES / "hl7v2" / "ADT_A01.hl7").read_bytes()
    answer = done(await face.post("$convert-data", sent(content)))
    validated = done(
        await face.post(
            "Parameters/$validate",
            {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": answer}]},
        )
    )
    assert codes([issue for issue in validated["issue"] if issue["severity"] in ("fatal", "error")]) == []
