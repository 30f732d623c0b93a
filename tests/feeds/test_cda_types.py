"""Every kind of document of the WS/T editions becomes its proper resources; goldens of synthetic documents."""

import json
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from adapters.cda import tables
from adapters.wire import to_json
from server.validation.structure import check
from tests.client import Fhir
from tests.feeds.cases.cda_builder import (
    convert_one,
    document,
    entry_of,
    observation,
    one,
    resources,
    section,
    st,
    transaction,
)
from tests.feeds.cases.cda_types import DOCUMENTS, diagnosis, drug, order

CASES = Path(__file__).parent / "cases" / "cda"
EVERY = {**DOCUMENTS, "ccd": (CASES / "ccd.xml").read_bytes()}
NAMES = sorted(EVERY)
_LEFT_OUT = {"Binary", "DocumentReference", "Provenance", "Bundle"}  # the raw message, and all of it once more


def found(name: str) -> list[dict[str, Any]]:
    entries = transaction(convert_one(EVERY[name]))["entry"]
    return [e["resource"] for e in entries if e["resource"]["resourceType"] not in _LEFT_OUT]


@pytest.mark.parametrize("name", NAMES)
def test_a_document_becomes_its_golden_resources(name: str) -> None:
    assert found(name) == json.loads((CASES / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_a_documents_resources_are_valid_for_the_server_and_for_fhir_resources(name: str) -> None:
    bundle = json.loads(to_json(convert_one(EVERY[name]).transaction))
    for resource in [bundle, *(entry["resource"] for entry in bundle["entry"])]:
        assert check(resource) == []
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.mark.parametrize("name", NAMES)
def test_a_document_converts_without_a_warning(name: str) -> None:
    assert [p.text for p in convert_one(EVERY[name]).problems if p.severity != "information"] == []


async def test_a_server_takes_every_document(fhir: Fhir) -> None:
    for name in NAMES:
        answer = await fhir.post("", to_json(convert_one(EVERY[name]).transaction))
        assert answer.status_code == 200, f"{name}: {answer.text[:500]}"


def test_every_kind_of_document_of_the_standards_has_a_row() -> None:
    known = {f"C{number:04}" for number in range(1, 54)}
    titles = ("门诊摘要", "住院摘要", "会诊记录", "转诊(院)记录", "个人基本健康信息登记")
    assert all(tables.document_type(code, "").known for code in known)
    assert all(tables.document_type("", title).known for title in titles)


def test_a_prescription_is_a_medication_request() -> None:
    request = one(convert_one(DOCUMENTS["C0004"]), "MedicationRequest")
    assert (request["status"], request["intent"]) == ("active", "order")
    assert request["medicationCodeableConcept"] == {"text": "苯磺酸氨氯地平片"}
    assert request["dosageInstruction"][0]["timing"]["repeat"]["frequency"] == 1
    assert request["authoredOn"] == "2024-03-13T10:15:00+08:00"


def test_the_same_drug_entry_outside_a_prescription_is_a_medication_statement() -> None:
    conversion = convert_one(document(section("10160-0", drug("苯磺酸氨氯地平片", "5", "mg", "1"))))
    assert resources(conversion, "MedicationRequest") == []
    assert one(conversion, "MedicationStatement")["dosage"][0]["doseAndRate"][0]["doseQuantity"]["value"] == 5


def test_orders_of_drugs_and_of_others_are_requests_with_their_state() -> None:
    conversion = convert_one(DOCUMENTS["C0052"])
    drugs, others = resources(conversion, "MedicationRequest"), resources(conversion, "ServiceRequest")
    assert [one["status"] for one in [*drugs, *others]] == ["active", "completed", "revoked"]
    assert others[0]["code"]["text"] == "心脏彩色多普勒超声"
    assert others[0]["category"][0]["text"] == "检查类医嘱"
    assert others[0]["occurrencePeriod"] == {"start": "2024-03-12", "end": "2024-03-14"}
    assert entry_of(conversion, others[0]["requester"])["name"][0]["text"] == "阮知夏"


@pytest.mark.parametrize(
    ("said", "drug_status", "other_status"),
    [
        ("未执行", "active", "active"),
        ("作废", "cancelled", "revoked"),
        ("停止", "stopped", "revoked"),
        ("已执行", "completed", "completed"),
        ("-", "active", "active"),
    ],
)
def test_the_state_of_an_order_is_its_status(said: str, drug_status: str, other_status: str) -> None:
    orders = section("46209-3", order("01", "药品类医嘱", "甲药片", said), order("02", "检查类医嘱", "某检查", said))
    conversion = convert_one(document(orders, code="C0052", title="住院医嘱"))
    assert one(conversion, "MedicationRequest")["status"] == drug_status
    assert one(conversion, "ServiceRequest")["status"] == other_status


def test_a_laboratory_report_has_its_items_as_results_with_unit_judgement_and_specimen() -> None:
    conversion = convert_one(DOCUMENTS["C0007"])
    report = one(conversion, "DiagnosticReport")
    potassium = entry_of(conversion, report["result"][0])
    assert potassium["code"] == {"text": "血清钾"}
    assert potassium["valueQuantity"] == {
        "value": "5.62",
        "unit": "mmol/L",
        "system": "http://unitsofmeasure.org",
        "code": "mmol/L",
    }
    assert potassium["interpretation"][0]["text"] == "偏高"
    assert entry_of(conversion, potassium["specimen"])["type"]["text"] == "静脉血"
    assert report["conclusion"] == "血钾偏高，建议复查"
    assert report["category"][0]["coding"][0]["code"] == "LAB"


def test_an_examination_report_concludes_with_what_the_examiner_thinks() -> None:
    report = one(convert_one(DOCUMENTS["C0006"]), "DiagnosticReport")
    assert report["conclusion"] == "心影增大，请结合临床"
    assert len(report["result"]) == 2


def test_a_consultation_is_a_request_and_an_impression() -> None:
    conversion = convert_one(DOCUMENTS["C0045"])
    request, opinion = one(conversion, "ServiceRequest"), one(conversion, "ClinicalImpression")
    assert request["code"]["text"] == "院内会诊"
    assert [reason["text"] for reason in request["reasonCode"]] == ["血糖控制欠佳"]
    assert [detail["text"] for detail in request["orderDetail"]] == ["明确下一步治疗"]
    assert opinion["summary"] == "改用基础胰岛素，监测空腹血糖"
    assert opinion["description"] == "胸闷1周，肌钙蛋白正常"


def test_a_transfer_goes_to_the_receiving_department() -> None:
    request = one(convert_one(DOCUMENTS["C0042"]), "ServiceRequest")
    assert request["performerType"]["text"] == "心脏外科"
    assert request["reasonCode"] == [{"text": "拟行冠状动脉旁路移植术"}]


def test_guidance_at_discharge_is_a_care_plan() -> None:
    conversion = convert_one(DOCUMENTS["C0025"])
    details = [activity["detail"] for activity in one(conversion, "CarePlan")["activity"]]
    assert [detail["code"]["text"] for detail in details] == ["宣教内容", "复诊指导", "用药指导"]
    assert resources(conversion, "MedicationStatement") == []


@pytest.mark.parametrize("name", ["hypertension", "diabetes"])
def test_the_next_follow_up_is_planned(name: str) -> None:
    plan = one(convert_one(DOCUMENTS[name]), "CarePlan")
    assert plan["activity"][0]["detail"]["scheduledPeriod"] == {"start": "2024-03-27"}


def test_a_follow_up_that_refers_says_why_and_where() -> None:
    conversion = convert_one(DOCUMENTS["hypertension"])
    request = one(conversion, "ServiceRequest")
    assert request["reasonCode"] == [{"text": "连续两次血压控制不满意"}]
    assert entry_of(conversion, request["performer"][0])["name"] == "泉城区第一人民医院"


def test_an_allergy_and_a_family_history_are_resources_of_their_own() -> None:
    conversion = convert_one(DOCUMENTS["C0001"])
    assert one(conversion, "AllergyIntolerance")["code"] == {"text": "青霉素皮疹"}
    assert one(conversion, "FamilyMemberHistory")["condition"] == [{"code": {"text": "父亲患2型糖尿病"}}]


@pytest.mark.parametrize("denied", ["无", "否认药物及食物过敏史", "无过敏史", "未发现"])
def test_an_allergy_that_is_denied_is_no_allergy(denied: str) -> None:
    told = observation("DE02.10.022.00", st(denied), "过敏史")
    conversion = convert_one(document(section("48765-2", told), code="C0001", title="病历概要"))
    assert resources(conversion, "AllergyIntolerance") == []
    assert denied in json.dumps(resources(conversion, "Observation"), ensure_ascii=False)


def test_a_diagnosis_is_a_condition_in_every_kind_of_document() -> None:
    for row in ("C0008", "C0023", "C0038", "C0050", "HSDB02.02"):
        conversion = convert_one(document(section("29548-5", diagnosis("I10.x00", "高血压病")), code=row, title=""))
        assert one(conversion, "Condition")["code"]["text"] == "高血压病"
