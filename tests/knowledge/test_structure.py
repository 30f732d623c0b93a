"""Structure validation, case by case: a piece of JSON, and the issues it must give."""

import time
from typing import Any

import pytest

from server.errors import Issue
from server.model import tables
from server.validation import structure

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">%s</div>'
URL = "http://example.org/e"
ORDER = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": {"reference": "Patient/1"}}
CONDITION = {"resourceType": "Condition", "subject": {"reference": "Patient/1"}}
STATUSES = "http://terminology.hl7.org/CodeSystem/condition-clinical"


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **elements}


def observation(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "血压"}, **elements}


def nested(levels: int) -> dict[str, Any]:
    extension: dict[str, Any] = {"url": URL, "valueCode": "x"}
    for _ in range(levels):
        extension = {"url": URL, "extension": [extension]}
    return extension


def basic(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Basic", "code": {"text": "x"}, **elements}


VALID: dict[str, Any] = {
    "an empty patient": patient(),
    "names in Chinese with a wide space": patient(name=[{"family": "欧阳", "given": ["小　明"]}]),
    "text with line breaks and tabs": patient(name=[{"text": "a\n\tb\r"}]),
    "a primitive with an extension": patient(
        birthDate="1970", _birthDate={"extension": [{"url": URL, "valueCode": "x"}]}
    ),
    "a primitive that is only an extension": patient(_birthDate={"extension": [{"url": URL, "valueCode": "x"}]}),
    "a required primitive that is only an extension": {
        **{name: value for name, value in ORDER.items() if name != "status"},
        "_status": {"extension": [{"url": URL, "valueCode": "x"}]},
    },
    "nulls in step with extensions": patient(name=[{"given": ["a", None], "_given": [None, {"id": "x"}]}]),
    "extensions that end before the values": patient(name=[{"given": ["a", "b"], "_given": [{"id": "x"}]}]),
    "a choice": patient(deceasedBoolean=False),
    "a contained resource": {**ORDER, "contained": [patient(id="p")], "subject": {"reference": "#p"}},
    "a bundle of bundles": {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": {"resourceType": "Bundle", "type": "batch", "entry": [{"resource": patient()}]}}],
    },
    "a reference by urn": {**ORDER, "subject": {"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}},
    "a conditional reference": {**ORDER, "subject": {"reference": "Patient?identifier=http://example.org|1"}},
    "an absolute reference with a version": {
        **ORDER,
        "subject": {"reference": "https://e.org/fhir/Patient/1/_history/2"},
    },
    "a reference to somewhere else": {**ORDER, "subject": {"reference": "https://e.org/people/1"}},
    "a reference that is only an identifier": {**ORDER, "subject": {"identifier": {"value": "1"}}},
    "a required concept by one of its codings": {
        **CONDITION,
        "clinicalStatus": {"coding": [{"system": "http://e.org", "code": "x"}, {"system": STATUSES, "code": "active"}]},
    },
    "a leap second and a leap day": observation(effectiveDateTime="2024-02-29T23:59:60.123+14:00"),
    "a media type with a parameter": patient(photo=[{"contentType": "text/plain; charset=utf-8", "data": "YQ=="}]),
    "an XHTML narrative with a table": patient(
        text={
            "status": "generated",
            "div": DIV % '<table class="g"><tr><td colspan="2">a &amp; b<br/></td></tr></table>',
        }
    ),
    "an element called resourceType": {
        "resourceType": "ExampleScenario",
        "status": "draft",
        "instance": [{"resourceId": "a", "resourceType": "Patient"}],
    },
    "a section in a section": {
        "resourceType": "Composition",
        "status": "final",
        "type": {"text": "x"},
        "date": "2024",
        "author": [{"display": "a"}],
        "title": "t",
        "section": [{"section": [{"section": [{"title": "x"}]}]}],
    },
}

# name: (resource, [(expression, code)])
INVALID: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "no object": ([], [("", "structure")]),
    "null": (None, [("", "structure")]),
    "no resourceType": ({"id": "a"}, [("resourceType", "required")]),
    "an unknown type": ({"resourceType": "Patinet"}, [("resourceType", "structure")]),
    "a type of another version": ({"resourceType": "SubscriptionStatus"}, [("resourceType", "structure")]),
    "an abstract type": ({"resourceType": "DomainResource"}, [("resourceType", "structure")]),
    "a type that is a list": ({"resourceType": ["Patient"]}, [("resourceType", "structure")]),
    "an unknown element": (patient(nmae=[]), [("Patient.nmae", "structure")]),
    "an unknown element deep down": (
        patient(contact=[{}, {"nam": 1}]),
        [("Patient.contact[0]", "structure"), ("Patient.contact[1].nam", "structure")],
    ),
    "a name that is no identifier": (patient(**{"中 文": 1}), [("Patient.`中 文`", "structure")]),
    "all issues, in document order": (
        patient(gender="男", birthDate="1970-13-01", foo=1),
        [("Patient.gender", "code-invalid"), ("Patient.birthDate", "value"), ("Patient.foo", "structure")],
    ),
    "required elements": (
        {"resourceType": "ServiceRequest"},
        [
            ("ServiceRequest.status", "required"),
            ("ServiceRequest.intent", "required"),
            ("ServiceRequest.subject", "required"),
        ],
    ),
    "a required choice": (
        {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": {"display": "x"}},
        [("MedicationRequest.medication", "required")],
    ),
    "a value for a list": (patient(name={"text": "a"}), [("Patient.name", "structure")]),
    "a list for a value": (patient(gender=["male"]), [("Patient.gender", "structure")]),
    "an empty list": (patient(name=[]), [("Patient.name", "structure")]),
    "an empty object": (patient(maritalStatus={}), [("Patient.maritalStatus", "structure")]),
    "an empty object in a list": (patient(name=[{"text": "a"}, {}]), [("Patient.name[1]", "structure")]),
    "an empty string": (patient(name=[{"family": ""}]), [("Patient.name[0].family", "value")]),
    "null for an element": (patient(active=None), [("Patient.active", "structure")]),
    "null in a list of objects": (patient(name=[None]), [("Patient.name[0]", "structure")]),
    "null in a list of primitives alone": (
        patient(name=[{"given": ["a", None]}]),
        [("Patient.name[0].given[1]", "structure")],
    ),
    "null on both sides": (
        patient(name=[{"given": ["a", None], "_given": [{"id": "x"}, None]}]),
        [("Patient.name[0].given[1]", "structure")],
    ),
    "only nulls in a sibling": (
        patient(name=[{"given": ["a"], "_given": [None]}]),
        [("Patient.name[0].given", "structure")],
    ),
    "a list for the sibling of a value": (
        patient(birthDate="1970", _birthDate=[]),
        [("Patient.birthDate", "structure")],
    ),
    "an object for the sibling of a list": (
        patient(name=[{"given": ["a"], "_given": {"id": "x"}}]),
        [("Patient.name[0].given", "structure")],
    ),
    "an unknown element in a sibling": (patient(_birthDate={"value": "x"}), [("Patient.birthDate.value", "structure")]),
    "the sibling of an object": (patient(_maritalStatus={"id": "x"}), [("Patient._maritalStatus", "structure")]),
    "the sibling of an id": (patient(_id={"id": "x"}), [("Patient._id", "structure")]),
    "two of a choice": (patient(deceasedBoolean=True, deceasedDateTime="2024"), [("Patient.deceased", "structure")]),
    "two of a choice, one as a sibling": (
        patient(deceasedBoolean=True, _deceasedDateTime={"id": "x"}),
        [("Patient.deceased", "structure")],
    ),
    "a type that the choice does not have": (patient(deceasedString="x"), [("Patient.deceasedString", "structure")]),
    "two values of an extension": (
        patient(extension=[{"url": URL, "valueCode": "x", "valueString": "x"}]),
        [("Patient.extension[0].value", "structure")],
    ),
    "an extension without url": (patient(extension=[{"valueCode": "x"}]), [("Patient.extension[0].url", "required")]),
    "a boolean in quotes": (patient(active="true"), [("Patient.active", "value")]),
    "a number for a boolean": (patient(active=1), [("Patient.active", "value")]),
    "a boolean for a number": (patient(multipleBirthInteger=True), [("Patient.multipleBirth", "value")]),
    "a fraction for an integer": (patient(multipleBirthInteger=1.0), [("Patient.multipleBirth", "value")]),
    "an integer that is too large": (patient(multipleBirthInteger=2**31), [("Patient.multipleBirth", "value")]),
    "a positiveInt of 0": (patient(telecom=[{"rank": 0}]), [("Patient.telecom[0].rank", "value")]),
    "a negative unsignedInt": (patient(photo=[{"size": -1}]), [("Patient.photo[0].size", "value")]),
    "a decimal in quotes": (observation(valueQuantity={"value": "1"}), [("Observation.value.value", "value")]),
    "a number for a string": (patient(name=[{"given": ["a", 1]}]), [("Patient.name[0].given[1]", "value")]),
    "an object for a string": (patient(name=[{"family": {"a": 1}}]), [("Patient.name[0].family", "value")]),
    "a string for an object": (patient(maritalStatus="M"), [("Patient.maritalStatus", "structure")]),
    "a control character": (patient(name=[{"family": "a\x00"}]), [("Patient.name[0].family", "value")]),
    "half a surrogate pair": (patient(name=[{"family": "\ud800"}]), [("Patient.name[0].family", "value")]),
    "a string above 1 MB": (patient(name=[{"family": "x" * (2**20 + 1)}]), [("Patient.name[0].family", "value")]),
    "a day that does not exist": (patient(birthDate="2023-02-30"), [("Patient.birthDate", "value")]),
    "a leap day of a century": (patient(birthDate="1900-02-29"), [("Patient.birthDate", "value")]),
    "the 31st of April": (observation(effectiveDateTime="2024-04-31T08:00:00Z"), [("Observation.effective", "value")]),
    "a date with a line break": (patient(birthDate="2023-02-01\n"), [("Patient.birthDate", "value")]),
    "a date in wide digits": (patient(birthDate="２０２３"), [("Patient.birthDate", "value")]),
    "a time without zone": (observation(effectiveDateTime="2024-04-30T08:00:00"), [("Observation.effective", "value")]),
    "an instant without time": (observation(issued="2024-04-30"), [("Observation.issued", "value")]),
    "an id with a slash": (patient(id="a/b"), [("Patient.id", "value")]),
    "an id of 65 characters": (patient(id="a" * 65), [("Patient.id", "value")]),
    "a URI with a space": (patient(implicitRules="http://e.org/a b"), [("Patient.implicitRules", "value")]),
    "a code with two spaces": (patient(language="a  b"), [("Patient.language", "value")]),
    "base64 without its end": (patient(photo=[{"data": "YQ"}]), [("Patient.photo[0].data", "value")]),
    "a code that is not required's": ({**ORDER, "status": "aktiv"}, [("ServiceRequest.status", "code-invalid")]),
    "a media type without slash": (
        patient(photo=[{"contentType": "jpeg"}]),
        [("Patient.photo[0].contentType", "code-invalid")],
    ),
    "a currency in lower case": (
        observation(extension=[{"url": URL, "valueMoney": {"value": 1, "currency": "rmb"}}]),
        [("Observation.extension[0].value.currency", "code-invalid")],
    ),
    "a required concept of another system": (
        {**CONDITION, "clinicalStatus": {"coding": [{"system": "http://e.org", "code": "active"}]}},
        [("Condition.clinicalStatus", "code-invalid")],
    ),
    "a required concept of text": (
        {**CONDITION, "clinicalStatus": {"text": "active"}},
        [("Condition.clinicalStatus", "code-invalid")],
    ),
    "a SimpleQuantity with a comparator": (
        {
            "resourceType": "MedicationStatement",
            "status": "active",
            "medicationCodeableConcept": {"text": "x"},
            "subject": {"reference": "Patient/1"},
            "dosage": [{"doseAndRate": [{"doseQuantity": {"value": 1, "comparator": "<"}}]}],
        },
        [("MedicationStatement.dosage[0].doseAndRate[0].dose.comparator", "structure")],
    ),
    "a contained resource": (
        {**ORDER, "contained": [{"resourceType": "Patient", "foo": 1}, {}]},
        [("ServiceRequest.contained[0].foo", "structure"), ("ServiceRequest.contained[1]", "structure")],
    ),
    "an entry of a bundle": (
        {
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [{"resource": patient(gender="x")}, {"resource": {"id": "a"}}],
        },
        [("Bundle.entry[0].resource.gender", "code-invalid"), ("Bundle.entry[1].resource.resourceType", "required")],
    ),
    "a narrative that is not well-formed": (
        patient(text={"status": "generated", "div": DIV % "<p>a"}),
        [("Patient.text.div", "invalid")],
    ),
    "a narrative without namespace": (
        patient(text={"status": "generated", "div": "<div>a</div>"}),
        [("Patient.text.div", "invalid")],
    ),
    "a narrative in another root": (
        patient(text={"status": "generated", "div": '<p xmlns="http://www.w3.org/1999/xhtml">a</p>'}),
        [("Patient.text.div", "invalid")],
    ),
    "a script in a narrative": (
        patient(text={"status": "generated", "div": DIV % "<script>a</script>"}),
        [("Patient.text.div", "invalid")],
    ),
    "an event in a narrative": (
        patient(text={"status": "generated", "div": DIV % '<p onclick="a">a</p>'}),
        [("Patient.text.div", "invalid")],
    ),
    "a script address in a narrative": (
        patient(text={"status": "generated", "div": DIV % '<a href=" JavaScript:a">a</a>'}),
        [("Patient.text.div", "invalid")],
    ),
    "an entity bomb in a narrative": (
        patient(text={"status": "generated", "div": '<!DOCTYPE div [<!ENTITY a "a">]>' + DIV % "&a;"}),
        [("Patient.text.div", "invalid")],
    ),
    "too deep": (basic(extension=[nested(120)]), [("Basic" + ".extension[0]" * 101, "too-costly")]),
}

WARNED: dict[str, dict[str, Any]] = {
    "relative": {"reference": "Medication/1"},
    "absolute": {"reference": "https://e.org/fhir/Medication/1"},
    "conditional": {"reference": "Medication?code=1"},
    "unknown type": {"reference": "Foo/1"},
    "by its type": {"type": "Medication", "identifier": {"value": "1"}},
}


@pytest.mark.parametrize("name", VALID)
def test_a_valid_resource_has_no_issue(name: str) -> None:
    assert structure.check(VALID[name]) == []
    assert structure.walk(VALID[name]) == []


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_resource_gives_every_issue_with_its_place(name: str) -> None:
    resource, expected = INVALID[name]
    issues = structure.check(resource)
    assert [(issue.expression, issue.code) for issue in issues] == expected
    assert {issue.severity for issue in issues} == {"error"}


@pytest.mark.parametrize("name", WARNED)
def test_a_reference_to_another_type_is_a_warning(name: str) -> None:
    (issue,) = structure.check({**ORDER, "subject": WARNED[name]})
    assert (issue.severity, issue.code, issue.expression) == ("warning", "value", "ServiceRequest.subject.reference")
    assert issue.diagnostics.startswith("subject should point at Patient, Group, Location, Device, not at ")


def test_the_messages_say_what_to_do() -> None:
    said = {
        issue.expression: issue.diagnostics
        for resource in (
            patient(nmae=[], gender="男", name={"text": "a"}, birthDate="2023-02-30", deceasedBoolean="false"),
            {"resourceType": "Patinet"},
        )
        for issue in structure.check(resource)
    }
    assert said == {
        "Patient.nmae": 'Patient has no element "nmae"; did you mean name?',
        "Patient.gender": "gender must be one of male, female, other, unknown"
        ' (http://hl7.org/fhir/ValueSet/administrative-gender); found "男"',
        "Patient.name": "name is a list in JSON, even of one item; found an object",
        "Patient.birthDate": "birthDate must be a date such as 2024, 2024-05 or 2024-05-31 that exists;"
        ' found "2023-02-30"',
        "Patient.deceased": 'deceasedBoolean must be true or false, without quotes; found "false"',
        "resourceType": '"Patinet" is not a resource type of FHIR R4; did you mean Patient?',
    }


def test_a_message_shows_only_the_beginning_of_a_long_value_and_nothing_unprintable() -> None:
    (issue,) = structure.check(patient(gender="x\u202e" + "y" * 10_000))
    assert len(issue.diagnostics) < 250
    assert issue.diagnostics.isprintable()


def test_the_issues_of_one_resource_are_limited() -> None:
    issues = structure.check(patient(name=[{"family": 1}] * 5000))
    assert len(issues) == structure.MOST_ISSUES + 1
    assert issues[-1] == Issue("too-costly", "More than 200 issues; the rest is not listed")


def test_nesting_is_limited_before_python_is() -> None:
    assert structure.check(basic(extension=[nested(90)])) == []
    deepest: dict[str, Any] = {"resourceType": "Bundle", "type": "batch"}
    for _ in range(400):
        deepest = {"resourceType": "Bundle", "type": "batch", "entry": [{"resource": deepest}]}
    assert [issue.code for issue in structure.check(deepest)] == ["too-costly"]


@pytest.mark.parametrize("bad", ["/a?" * 60_000, "http://e.org/" + "a/" * 60_000 + " ", "Patient" * 20_000])
def test_a_hostile_string_takes_no_time(bad: str) -> None:
    texts = [("subject", {"reference": bad}), ("text", {"status": "generated", "div": DIV % bad + "<"})]
    before = time.process_time()
    for name, value in texts:
        structure.check({**ORDER, name: value})
    assert time.process_time() - before < 1


@pytest.mark.parametrize("type_", sorted(tables.resource_types()))
def test_every_type_refuses_what_it_does_not_have(type_: str) -> None:
    issues = structure.check({"resourceType": type_, "nothingLikeThis": 1})
    assert (f"{type_}.nothingLikeThis", "structure") in {(issue.expression, issue.code) for issue in issues}
