"""C-CDA R2.1: what each section's entries become, and the forms that nullFlavor, times and translations take."""

import re
from pathlib import Path

import pytest

from adapters.wire import to_json
from tests.client import Fhir, done, matches
from tests.feeds.cases.cda_builder import by_code, convert_one, entry_of, one, resources, told, transaction

CCD = (Path(__file__).parent / "cases" / "cda" / "ccd.xml").read_bytes()
CONVERSION = convert_one(CCD)
# LOINC code and template of the document kinds of the guide that the same entries come in.
KINDS = {
    "34133-9": "22.1.2",
    "18842-5": "22.1.8",
    "57133-1": "22.1.14",
    "18761-7": "22.1.13",
    "11488-4": "22.1.4",
    "52521-2": "22.1.15",
}


def pivl(period: str) -> str:
    return f'<effectiveTime xsi:type="PIVL_TS"><period>{period}</period></effectiveTime>'


def changed(old: str, new: str, count: int = 1) -> bytes:
    assert old in CCD.decode()
    return CCD.decode().replace(old, new, count).encode()


@pytest.mark.parametrize("code", KINDS)
def test_every_kind_of_document_has_its_entries_as_resources(code: str) -> None:
    content = changed('code="34133-9"', f'code="{code}"').replace(
        b'10.20.22.1.2" ext', f'10.20.{KINDS[code]}" ext'.encode()
    )
    conversion = convert_one(content)
    kinds = {entry["resource"]["resourceType"] for entry in transaction(conversion)["entry"]}
    expected = {"AllergyIntolerance", "Condition", "MedicationStatement", "DiagnosticReport", "Observation"}
    expected |= {"Immunization", "Procedure", "Encounter", "FamilyMemberHistory", "ServiceRequest", "Goal"}
    assert expected <= kinds
    assert one(conversion, "Composition")["type"]["coding"][0]["code"] == code


def test_without_any_entry_template_the_section_and_the_kind_of_entry_decide() -> None:
    bare = re.sub(rb'<templateId root="2.16.840.1.113883.10.20.22.4.\d+"[^>]*/>', b"", CCD)
    conversion = convert_one(bare)
    assert len(resources(conversion, "Condition")) >= 2
    assert one(conversion, "AllergyIntolerance")["code"]["coding"][0]["code"] == "723"
    assert len(resources(conversion, "Immunization")) == 2
    assert one(conversion, "DiagnosticReport")["code"]["coding"][0]["code"] == "58410-2"
    assert one(conversion, "Encounter")["class"]["code"] == "AMB"


def test_a_problem_with_a_null_flavor_is_coded_by_its_translations() -> None:
    asthma, pneumonia, _ = resources(CONVERSION, "Condition")
    systems = [coding["system"] for coding in asthma["code"]["coding"]]
    assert systems == ["http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10-cm"]
    assert asthma["clinicalStatus"]["coding"][0]["code"] == "active"
    assert (pneumonia["onsetDateTime"], pneumonia["abatementDateTime"]) == ("2019-01-10", "2019-02-01")
    assert pneumonia["clinicalStatus"]["coding"][0]["code"] == "resolved"


def test_a_negated_problem_is_refuted() -> None:
    content = changed(
        '<observation classCode="OBS" moodCode="EVN">\n          <templateId root="2.16.840.1.113883.10.20.22.4.4"/>',
        '<observation classCode="OBS" moodCode="EVN" negationInd="true">\n'
        '          <templateId root="2.16.840.1.113883.10.20.22.4.4"/>',
    )
    condition = resources(convert_one(content), "Condition")[0]
    assert condition["verificationStatus"]["coding"][0]["code"] == "refuted"


def test_an_allergy_has_substance_type_reaction_and_severity() -> None:
    allergy = one(CONVERSION, "AllergyIntolerance")
    assert (allergy["type"], allergy["category"]) == ("allergy", ["medication"])
    assert allergy["code"]["coding"][0]["system"] == "http://www.nlm.nih.gov/research/umls/rxnorm"
    assert allergy["code"]["text"] == "Amoxicillin: hives"  # the words that originalText points to
    (reaction,) = allergy["reaction"]
    assert (reaction["severity"], reaction["onset"]) == ("moderate", "2015-03-02")


def test_a_drug_has_span_rhythm_dose_need_and_reason() -> None:
    drug = one(CONVERSION, "MedicationStatement")
    (dosage,) = drug["dosage"]
    assert drug["effectivePeriod"] == {"start": "2022-03-01"}
    assert dosage["timing"]["repeat"] == {"frequency": 1, "period": 6, "periodUnit": "h"}
    assert dosage["asNeededCodeableConcept"]["text"] == "Wheezing"
    assert dosage["doseAndRate"][0]["doseQuantity"]["code"] == "{puff}"
    assert entry_of(CONVERSION, drug["reasonReference"][0])["code"]["text"] == "Wheezing"


@pytest.mark.parametrize(
    ("timing", "repeat"),
    [
        (
            pivl('<low value="4" unit="h"/><high value="6" unit="h"/>'),
            {"frequency": 1, "period": 4, "periodMax": 6, "periodUnit": "h"},
        ),
        ('<effectiveTime xsi:type="EIVL_TS"><event code="HS"/></effectiveTime>', {"when": ["HS"]}),
    ],
)
def test_each_form_of_a_drugs_rhythm_is_a_timing(timing: str, repeat: dict[str, object]) -> None:
    whole = '<effectiveTime xsi:type="PIVL_TS" operator="A"><period value="6" unit="h"/></effectiveTime>'
    drug = one(convert_one(changed(whole, timing)), "MedicationStatement")
    assert drug["dosage"][0]["timing"]["repeat"] == repeat


def test_a_result_has_digits_range_and_judgement_and_belongs_to_its_report() -> None:
    report = one(CONVERSION, "DiagnosticReport")
    hemoglobin, platelets = (entry_of(CONVERSION, reference) for reference in report["result"])
    assert hemoglobin["valueQuantity"]["value"] == "11.20"
    assert hemoglobin["referenceRange"][0]["low"]["value"] == "12.0"
    assert hemoglobin["interpretation"][0]["coding"][0]["code"] == "L"
    assert platelets["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    assert "value" not in "".join(platelets)


def test_vital_signs_are_members_of_their_group() -> None:
    group = by_code(CONVERSION, "46680005")
    pressure = entry_of(CONVERSION, group["hasMember"][0])
    assert pressure["valueQuantity"]["code"] == "mm[Hg]"
    assert pressure["category"][0]["coding"][0]["code"] == "vital-signs"


def test_a_vaccine_given_and_one_refused() -> None:
    given, refused = resources(CONVERSION, "Immunization")
    assert (given["status"], given["lotNumber"], given["occurrenceDateTime"]) == ("completed", "LOT-4411", "2022-10-15")
    assert (refused["status"], refused["statusReason"]["coding"][0]["code"]) == ("not-done", "PATOBJ")


def test_a_procedure_names_who_did_it_by_the_national_number() -> None:
    procedure = one(CONVERSION, "Procedure")
    surgeon = entry_of(CONVERSION, procedure["performer"][0]["actor"])
    assert surgeon["identifier"][0] == {"system": "http://hl7.org/fhir/sid/us-npi", "value": "9900445566"}
    assert surgeon["name"][0]["family"] == "Varga"


def test_a_planned_procedure_is_a_request_and_a_goal_a_goal() -> None:
    request, goal = one(CONVERSION, "ServiceRequest"), one(CONVERSION, "Goal")
    assert (request["status"], request["intent"]) == ("active", "order")
    assert request["occurrenceDateTime"] == "2023-06-01"
    assert goal["target"][0]["detailQuantity"]["value"] == 68
    assert (goal["startDate"], goal["target"][0]["dueDate"]) == ("2023-04-18", "2023-10-18")


def test_a_relatives_disease_has_the_age_at_onset() -> None:
    father = one(CONVERSION, "FamilyMemberHistory")
    assert father["relationship"]["coding"][0]["code"] == "FTH"
    assert father["condition"][0]["onsetAge"]["value"] == 57


def test_the_patient_has_names_in_parts_race_language_and_an_address() -> None:
    patient = one(CONVERSION, "Patient")
    assert patient["name"][0] == {
        "use": "official",
        "text": "Orla M Quillfeather",
        "family": "Quillfeather",
        "given": ["Orla", "M"],
    }
    assert patient["communication"][0]["language"]["coding"][0]["code"] == "en"
    assert patient["address"][0]["city"] == "Fenwick"
    assert any(extension["url"].endswith("us-core-race") for extension in patient["extension"])


def test_a_time_without_a_zone_is_in_the_documents_zone() -> None:
    content = changed('<effectiveTime value="20210909"/>', '<effectiveTime value="202109091030"/>')
    assert one(convert_one(content), "Procedure")["performedDateTime"] == "2021-09-09T10:30:00-05:00"


def test_a_file_in_place_of_a_body_is_a_document_reference_with_the_file() -> None:
    start, end = CCD.index(b"<component><structuredBody>"), CCD.rindex(b"</structuredBody></component>")
    body = b'<component><nonXMLBody><text mediaType="application/pdf" representation="B64">JVBERi0x</text></nonXMLBody>'
    content = CCD[:start] + body + b"</component>" + CCD[end + len(b"</structuredBody></component>") :]
    _, document = resources(convert_one(content), "DocumentReference")
    assert document["content"][0]["attachment"] == {"contentType": "application/pdf", "data": "JVBERi0x"}


def test_a_file_that_is_not_base64_is_told() -> None:
    start, end = CCD.index(b"<component><structuredBody>"), CCD.rindex(b"</structuredBody></component>")
    body = b'<component><nonXMLBody><text mediaType="application/pdf" representation="B64">%%%</text></nonXMLBody>'
    content = CCD[:start] + body + b"</component>" + CCD[end + len(b"</structuredBody></component>") :]
    conversion = convert_one(content)
    assert len(resources(conversion, "DocumentReference")) == 1
    assert "not base64" in told(conversion, "warning")[0].text


async def test_sent_twice_the_second_changes_nothing(fhir: Fhir) -> None:
    body = to_json(CONVERSION.transaction)
    done(await fhir.post("", body))
    first = done(await fhir.get("Condition?_count=200"))
    again = done(await fhir.post("", body))
    assert {entry["response"]["status"][:3] for entry in again["entry"]} == {"200"}
    versions = [(row["id"], row["meta"]["versionId"]) for row in matches(first)]
    after = done(await fhir.get("Condition?_count=200"))
    assert versions == [(row["id"], row["meta"]["versionId"]) for row in matches(after)]
    assert len(versions) >= 3
