"""Every HL7 v2 message type: golden resources of synthetic messages, what its events mean, and damage."""

import json
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.contract import Mapped, Resource
from adapters.hl7v2 import ADAPTER
from adapters.kit.transaction import sentence
from adapters.runner import convert
from adapters.wire import to_json
from tests.client import Fhir

CASES = sorted((Path(__file__).parent / "cases" / "hl7v2").glob("*.hl7"))
NAMES = [path.stem for path in CASES]
RECORDED = "2024-05-12T02:00:00Z"


def mapped(name: str) -> Mapped:
    path = next(path for path in CASES if path.stem == name)
    (parsed,) = ADAPTER.parse(path.read_bytes(), path.name)
    return ADAPTER.map(parsed.record)


def of(result: Mapped, type: str) -> list[Resource]:
    return [item.resource for item in result.items if item.resource["resourceType"] == type]


def one(result: Mapped, type: str) -> Resource:
    (found,) = of(result, type)
    return found


def keys(result: Mapped, type: str) -> list[str]:
    return [item.key for item in result.items if item.resource["resourceType"] == type]


def code(concept: Resource) -> str:
    return str(concept["coding"][0]["code"])


# -------------------------------------------------------------------------------------------------- golden
@pytest.mark.parametrize("path", CASES, ids=NAMES)
def test_a_message_becomes_its_golden_resources(path: Path) -> None:
    (parsed,) = ADAPTER.parse(path.read_bytes(), path.name)
    result = ADAPTER.map(parsed.record)
    found = {
        "event": result.kind,
        "problems": [f"{problem.severity}: {sentence(problem)}" for problem in [*parsed.problems, *result.problems]],
        "resources": [{"key": i.key, "mode": i.mode, "resource": i.resource} for i in result.items],
    }
    assert json.loads(to_json(found)) == json.loads(path.with_suffix(".json").read_bytes())


@pytest.mark.parametrize("path", CASES, ids=NAMES)
def test_its_resources_are_valid_and_its_references_lead_somewhere(path: Path) -> None:
    (conversion,) = convert(path.read_bytes(), path.name, ADAPTER, RECORDED)
    assert not conversion.failed
    entries = conversion.transaction["entry"]
    urls = {entry["fullUrl"] for entry in entries}
    assert len(urls) == len(entries)
    for entry in entries:
        plain = json.loads(to_json(entry["resource"]))
        get_fhir_model_class(plain["resourceType"]).model_validate(plain)
        assert set(references(plain)) <= urls


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["reference"]] if str(value.get("reference", "")).startswith("urn:uuid:") else []
        return own + [found for part in value.values() for found in references(part)]
    return [found for part in value for found in references(part)] if isinstance(value, list) else []


async def test_a_server_takes_them_all_and_a_second_time_changes_nothing(face: Fhir) -> None:
    for path in CASES:
        (conversion,) = convert(path.read_bytes(), path.name, ADAPTER, RECORDED)
        answer = await face.post("", to_json(conversion.transaction))
        assert answer.status_code == 200, (path.name, answer.text)
        again = (await face.post("", to_json(conversion.transaction))).json()
        assert {entry["response"]["status"][:3] for entry in again["entry"]} == {"200"}, path.name
        first = [entry["response"]["etag"] for entry in answer.json()["entry"]]
        assert [entry["response"]["etag"] for entry in again["entry"]] == first, path.name


# -------------------------------------------------------------------------------------------------- events
@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("ADT_A02", "in-progress"),
        ("ADT_A04", "in-progress"),
        ("ADT_A05", "planned"),
        ("ADT_A06", "in-progress"),
        ("ADT_A07", "in-progress"),
        ("ADT_A11", "cancelled"),
        ("ADT_A12", "in-progress"),
        ("ADT_A13", "in-progress"),
    ],
)
def test_an_event_says_the_status_of_its_visit_and_deletes_nothing(name: str, status: str) -> None:
    assert one(mapped(name), "Encounter")["status"] == status


def test_a_cancelled_discharge_takes_its_time_back() -> None:
    assert one(mapped("ADT_A13"), "Encounter")["period"] == {"start": "2024-05-12T08:30:00+08:00"}


def test_events_of_one_visit_are_one_encounter_matched_by_its_number() -> None:
    names = ("ADT_A02", "ADT_A06", "ADT_A11", "ADT_A13", "BAR_P01", "MDM_T02")
    found = [item for name in names for item in mapped(name).items if item.resource["resourceType"] == "Encounter"]
    assert len({item.key for item in found}) == 1
    assert [item.mode for item in found] == ["refreshed"] * 4 + ["shared"] * 2


@pytest.mark.parametrize("name", ["ADT_A28", "ADT_A31"])
def test_a_person_event_with_an_empty_visit_makes_no_encounter(name: str) -> None:
    assert of(mapped(name), "Encounter") == []


@pytest.mark.parametrize(("name", "number"), [("ADT_A40", "Q00000999"), ("ADT_A34", "Q00000777")])
def test_a_merge_links_both_patients_and_ends_the_old_one(name: str, number: str) -> None:
    result = mapped(name)
    kept, old = of(result, "Patient")
    assert [link["type"] for link in kept["link"] + old["link"]] == ["replaces", "replaced-by"]
    assert (old["active"], old["identifier"][0]["value"]) == (False, number)
    assert "active" not in kept
    assert result.subject == keys(result, "Patient")[0]
    assert [item.mode for item in result.items if item.key in keys(result, "Patient")] == ["refreshed", "refreshed"]


# -------------------------------------------------------------------------------------------------- orders
def test_orders_keep_their_own_status_reasons_and_notes() -> None:
    first, second = of(mapped("ORM_O01"), "ServiceRequest")
    assert (first["status"], first["priority"], first["identifier"][0]["value"]) == ("active", "stat", "A2024051201")
    assert first["requisition"]["value"] == "G20240512"
    assert [note["text"] for note in first["note"]] == ["咳嗽两周", "患者有金属植入"]
    assert len(first["reasonReference"]) == 1
    assert (second["status"], second["identifier"][0]["value"]) == ("revoked", "A2024051199")
    assert "note" not in second
    assert "reasonReference" not in second


def test_a_request_to_cancel_is_not_yet_a_cancellation() -> None:
    assert [request["status"] for request in of(mapped("OML_O21"), "ServiceRequest")] == ["active", "active"]


def test_the_specimen_hangs_on_its_own_order() -> None:
    first, second = of(mapped("OML_O21"), "ServiceRequest")
    assert len(first["specimen"]) == 1
    assert "specimen" not in second


def test_results_become_a_report_of_observations_that_leads_back_to_the_order() -> None:
    result = mapped("ORU_R01")
    report, request = one(result, "DiagnosticReport"), one(result, "ServiceRequest")
    observations = of(result, "Observation")
    assert (report["status"], report["issued"]) == ("final", "2024-05-12T10:30:00+08:00")
    assert len(report["result"]) == len(observations) == 5
    assert (request["intent"], request["basedOn"][0]["identifier"]["value"]) == ("filler-order", "L001")
    assert [found["status"] for found in observations] == ["final", "final", "final", "entered-in-error", "final"]
    assert observations[0]["referenceRange"][0]["low"] == {"value": 115}
    assert observations[1]["note"] == [{"text": "复查"}]
    assert observations[2]["valueString"] == "红细胞形态正常\n白细胞形态正常"
    assert (code(observations[4]["code"]), observations[4]["valueString"]) == ("48767-8", "标本轻度溶血")


def test_a_corrected_result_is_the_same_report_and_observation() -> None:
    path = next(path for path in CASES if path.stem == "ORU_R01")
    content = path.read_bytes().replace(b"|132.0|", b"|131.0|").replace(b"||HM|F|", b"||HM|C|").replace(b"QH-", b"QX-")
    (parsed,) = ADAPTER.parse(content, "")
    corrected, before = ADAPTER.map(parsed.record), mapped("ORU_R01")
    assert [item.key for item in corrected.items] == [item.key for item in before.items]
    assert one(corrected, "DiagnosticReport")["status"] == "corrected"


def test_a_prescription_has_its_dose_timing_route_and_supply() -> None:
    first, second = of(mapped("RDE_O11"), "MedicationRequest")
    (dosage,) = first["dosageInstruction"]
    assert str(dosage["doseAndRate"][0]["doseQuantity"]["value"]) == "0.5"
    assert (code(dosage["timing"]["code"]), code(dosage["route"])) == ("TID", "PO")
    assert dosage["timing"]["repeat"]["boundsPeriod"] == {"start": "2024-05-12", "end": "2024-05-19"}
    assert first["dispenseRequest"] == {"numberOfRepeatsAllowed": 1, "quantity": {"value": 24, "unit": "粒"}}
    assert first["substitution"] == {"allowedBoolean": False}
    assert (first["status"], second["status"]) == ("active", "stopped")


def test_a_dispense_points_at_its_prescription() -> None:
    result = mapped("RDS_O13")
    dispense = one(result, "MedicationDispense")
    assert (dispense["status"], dispense["whenHandedOver"]) == ("completed", "2024-05-12T10:15:00+08:00")
    assert dispense["quantity"]["value"] == 24
    assert "reference" in dispense["authorizingPrescription"][0]


def test_vaccinations_are_given_reported_or_taken_back() -> None:
    given, deleted = of(mapped("VXU_V04"), "Immunization")
    assert (given["status"], given["primarySource"], given["lotNumber"]) == ("completed", True, "B20240101")
    assert (code(given["route"]), code(given["site"]), code(given["programEligibility"][0])) == ("IM", "LA", "V01")
    assert given["education"] == [{"documentType": "乙肝疫苗告知单", "publicationDate": "2023-01-01"}]
    assert (deleted["status"], deleted["primarySource"]) == ("entered-in-error", False)
    assert "doseQuantity" not in deleted


# -------------------------------------------------------------------------------------- documents and the rest
def test_a_document_has_its_text_and_its_attachment() -> None:
    document = one(mapped("MDM_T02"), "DocumentReference")
    types = [content["attachment"]["contentType"] for content in document["content"]]
    assert types == ["application/pdf", "text/plain; charset=utf-8"]
    assert (document["status"], document["docStatus"]) == ("current", "final")
    assert document["masterIdentifier"]["value"] == "DOC001"


def test_a_cancelled_document_is_the_same_one_entered_in_error() -> None:
    cancelled, before = mapped("MDM_T11"), mapped("MDM_T02")
    keys = [
        [i.key for i in result.items if i.resource["resourceType"] == "DocumentReference"]
        for result in (cancelled, before)
    ]
    assert keys[0] == keys[1]
    assert one(cancelled, "DocumentReference")["status"] == "entered-in-error"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("SIU_S12", "booked"),
        ("SIU_S13", "booked"),
        ("SIU_S14", "booked"),
        ("SIU_S15", "cancelled"),
        ("SIU_S17", "entered-in-error"),
        ("SIU_S26", "noshow"),
    ],
)
def test_an_appointment_is_one_through_all_its_events(name: str, status: str) -> None:
    result = mapped(name)
    appointment = one(result, "Appointment")
    assert appointment["status"] == status
    assert (appointment["start"], appointment["end"]) == ("2024-05-20T09:00:00+08:00", "2024-05-20T09:30:00+08:00")
    assert len(appointment["participant"]) == 5
    assert keys(result, "Appointment") == keys(mapped("SIU_S12"), "Appointment")


@pytest.mark.parametrize(
    ("name", "request_status", "task_status"),
    [
        ("REF_I13", "active", "accepted"),
        ("REF_I14", "revoked", "cancelled"),
        ("REF_I15", "active", "requested"),
        ("RRI_I12", "active", "accepted"),
    ],
)
def test_a_referral_is_modified_cancelled_and_answered(name: str, request_status: str, task_status: str) -> None:
    result = mapped(name)
    assert one(result, "ServiceRequest")["status"] == request_status
    assert one(result, "Task")["status"] == task_status


def test_problems_are_added_resolved_and_taken_back() -> None:
    active, resolved = of(mapped("PPR_PC1"), "Condition")
    assert (code(active["clinicalStatus"]), code(active["verificationStatus"])) == ("active", "confirmed")
    assert (code(resolved["clinicalStatus"]), resolved["abatementDateTime"]) == ("resolved", "2024-05-01")
    deleted = one(mapped("PPR_PC3"), "Condition")
    assert code(deleted["verificationStatus"]) == "entered-in-error"
    assert "clinicalStatus" not in deleted
    keys = [
        [i.key for i in mapped(n).items if i.resource["resourceType"] == "Condition"] for n in ("PPR_PC1", "PPR_PC3")
    ]
    assert keys[1][0] == keys[0][0]


def test_accounts_and_charges_carry_diagnoses_coverage_and_the_guarantor() -> None:
    account, charges = mapped("BAR_P01"), mapped("DFT_P03")
    assert (len(of(account, "Condition")), len(of(account, "Coverage"))) == (1, 1)
    assert code(one(account, "RelatedPerson")["relationship"][0]) == "GUAR"
    item = one(charges, "ChargeItem")
    assert (item["status"], item["priceOverride"]) == ("billable", {"value": 20, "currency": "CNY"})
    assert (len(of(charges, "Condition")), len(of(charges, "Coverage")), len(of(charges, "Procedure"))) == (1, 1, 1)


def test_an_acknowledgment_says_nothing_to_convert() -> None:
    result = mapped("ACK")
    assert (result.items, result.failed) == ([], False)


@pytest.mark.parametrize(
    ("written", "event"),
    [("ADT_A01", "ADT^A01"), ("ADT", "ADT^A01"), ("ORU", "ORU^R01"), ("ADT^A01^ADT_A01", "ADT^A01")],
)
def test_a_type_in_one_two_or_three_parts_is_understood(written: str, event: str) -> None:
    content = (
        f"MSH|^~\\&|HIS|X|||20240101||{written}|1|P|2.4\rEVN|A01\rPID|||7^^^^PatientNO\rPV1||I|||||||||||||||||V1\r"
    )
    (parsed,) = ADAPTER.parse(content.encode(), "")
    result = ADAPTER.map(parsed.record)
    assert not result.failed
    assert one(result, "Encounter")["status"] == "in-progress"
    assert event.startswith(result.kind[:3])


# -------------------------------------------------------------------------------------------------- damage
@pytest.mark.parametrize("path", CASES, ids=NAMES)
def test_any_segment_may_be_missing_or_empty_or_twice(path: Path) -> None:
    lines = path.read_bytes().rstrip(b"\r").split(b"\r")
    for at in range(1, len(lines)):
        kept = [lines[:at] + lines[at + 1 :], [*lines[:at], lines[at][:3], *lines[at + 1 :]], [*lines, lines[at]]]
        for changed in kept:
            assert_sound(b"\r".join(changed))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_breaks_the_adapter_or_makes_an_invalid_resource(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(CASES))
    lines = path.read_bytes().decode().rstrip("\r").split("\r")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(1, len(lines) - 1))
        fields = lines[at].split("|")
        field = data.draw(st.integers(0, len(fields)))
        junk = data.draw(st.sampled_from(JUNK) | st.text(st.characters(blacklist_categories=["Cs"]), max_size=12))
        fields[field : field + 1] = [junk]
        lines[at] = "|".join(fields)
    lines[1:] = data.draw(st.permutations(lines[1:])) if data.draw(st.booleans()) else lines[1:]
    assert_sound("\r".join(lines).encode())


JUNK = [
    '""',
    "-",
    "无",
    "&&&",
    "^^^",
    "~~~",
    "\\X00\\",
    "\\X1F41\\",
    "20240230",
    "99999999999999",
    "1e9",
    "NaN",
    "0",
    "-1",
]
JUNK += [
    "²",
    "٣",
    "NM",
    "ED",
    "SN",
    "Y",
    "D",
    "ZZ",
    "|",
    "a&b^c&d~e",
    "http://x y",
    "1.2.3",
    "\x01",
    "2024051209301560",
]


def assert_sound(content: bytes) -> None:
    for conversion in convert(content, "", ADAPTER, RECORDED):
        broken = [problem.text for problem in conversion.problems if problem.code == "exception"]
        assert broken == [], content.decode()
        for entry in conversion.transaction["entry"]:
            plain = json.loads(to_json(entry["resource"]))
            get_fhir_model_class(plain["resourceType"]).model_validate(plain)
        leaves = conversion.mapped.leaves if conversion.mapped else None
        assert leaves is None or leaves.present == leaves.mapped + len(leaves.listed)
