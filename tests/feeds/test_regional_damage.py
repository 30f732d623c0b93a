"""Damage in regional tables: charsets, date forms, numbers that a spreadsheet broke, lists in cells, missing units."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.regional_json import ADAPTER
from adapters.runner import Conversion, convert

READING: dict[str, Any] = {
    "记录编号": "JL1",
    "站点编号": "DEMO0001",
    "站点名称": "示例健康小屋",
    "身份证号": "429900195603140175",
    "姓名": "苏映雪",
    "设备编号": "SN-1",
    "检测时间": "2026-03-01 08:11:12",
    "收缩压": "141",
    "舒张压": "88",
    "空腹血糖": "",
    "血糖单位": "",
}
SETTLEMENT: dict[str, Any] = {
    "setl_id": "S1",
    "mdtrt_id": "M1",
    "fixmedins_code": "H1",
    "psn_no": "P1",
    "psn_name": "苏映雪",
    "dscg_way": "1",
    "adm_time": "2026-02-01",
    "dscg_time": "2026-02-03",
    "wm_dise_code": "",
}


def reading(encoding: str = "utf-8", **changes: str) -> Conversion:
    row = READING | changes
    text = io.StringIO()
    csv.writer(text).writerows([row.keys(), row.values()])
    (conversion,) = convert(text.getvalue().encode(encoding), "x.csv", ADAPTER, "2026-01-01T00:00:00Z")
    return conversion


def settlement(**changes: Any) -> Conversion:
    body = {"infno": "4101", "input": {"setlinfo": SETTLEMENT | changes}}
    (conversion,) = convert(json.dumps(body).encode(), "x.json", ADAPTER, "2026-01-01T00:00:00Z")
    return conversion


def of(conversion: Conversion, type: str) -> list[dict[str, Any]]:
    return [e["resource"] for e in conversion.transaction["entry"] if e["resource"]["resourceType"] == type]


def warnings(conversion: Conversion) -> list[tuple[str, str]]:
    return [(p.field, p.text) for p in conversion.problems if p.severity == "warning"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
def test_chinese_column_names_are_read_in_every_charset(encoding: str) -> None:
    (patient,) = of(reading(encoding), "Patient")
    assert patient["name"][0]["text"] == "苏映雪"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("20260301", "2026-03-01"),
        ("2026-03-01", "2026-03-01"),
        ("2026-03-01 08:11:12", "2026-03-01T08:11:12+08:00"),
        ("20260301081112", "2026-03-01T08:11:12+08:00"),
        ("2026/3/1 8:11:12", "2026-03-01T08:11:12+08:00"),
        ("2026年3月1日", "2026-03-01"),
        ("20260301 08:11:12", "2026-03-01T08:11:12+08:00"),
        ("1772323872", "2026-03-01T08:11:12+08:00"),
        ("1772323872000", "2026-03-01T08:11:12+08:00"),
        ("46082", "2026-03-01"),
        ("46082.5", "2026-03-01T12:00:00+08:00"),
    ],
)
def test_every_form_of_a_date_is_the_same_moment(written: str, read: str) -> None:
    (pressure,) = of(reading(检测时间=written), "Observation")
    assert pressure["effectiveDateTime"] == read


@pytest.mark.parametrize("nothing", ["0000-00-00", "0000-00-00 00:00:00", "-", "/", "无", ""])
def test_a_date_that_says_nothing_is_no_date(nothing: str) -> None:
    (pressure,) = of(reading(检测时间=nothing), "Observation")
    assert "effectiveDateTime" not in pressure


def test_a_date_that_cannot_be_fails_the_row_and_names_the_column() -> None:
    conversion = reading(检测时间="2026-02-30")
    (problem,) = [p for p in conversion.problems if p.severity == "error"]
    assert (problem.field, problem.line) == ("检测时间", 2)
    assert conversion.failed


@pytest.mark.parametrize("broken", ["4.29900195603E+17", "4.299E+17", "429900195603140000"])
def test_an_identity_number_that_a_spreadsheet_rounded_identifies_nobody(broken: str) -> None:
    conversion = reading(身份证号=broken)
    assert conversion.failed
    assert [field for field, text in warnings(conversion) if "spreadsheet" in text] == ["身份证号"]
    assert [p.text for p in conversion.problems if p.severity == "error"] == ["no number identifies the patient"]


def test_a_glucose_without_a_unit_keeps_its_number_and_says_so() -> None:
    conversion = reading(空腹血糖="6.10")
    (glucose,) = [o for o in of(conversion, "Observation") if o["code"]["coding"][0]["code"] == "1558-6"]
    assert str(glucose["valueQuantity"]["value"]) == "6.10" and "unit" not in glucose["valueQuantity"]
    assert [field for field, text in warnings(conversion) if "names no unit" in text] == ["空腹血糖"]


@pytest.mark.parametrize(("unit", "code"), [("mmol/L", "mmol/L"), ("mg/dl", "mg/dL"), ("MMOL/L", "mmol/L")])
def test_the_unit_of_a_row_is_the_unit_of_its_glucose(unit: str, code: str) -> None:
    conversion = reading(空腹血糖="110", 血糖单位=unit)
    (glucose,) = [o for o in of(conversion, "Observation") if o["code"]["coding"][0]["code"] == "1558-6"]
    assert glucose["valueQuantity"]["code"] == code


def test_a_number_that_is_none_is_kept_as_text_with_a_warning() -> None:
    conversion = reading(收缩压="测不出")
    (pressure,) = of(conversion, "Observation")
    assert pressure["component"][0]["valueString"] == "测不出"
    assert ("收缩压", "测不出 is not a number; kept as text") in warnings(conversion)


def test_several_diagnoses_in_a_cell_are_several_conditions() -> None:
    conversion = settlement(wm_dise_code="q55.606,E11.501+I79.2*；N18.900x012,,q55.606,", otp_wm_dise="")
    codes = [condition["code"]["coding"][0]["code"] for condition in of(conversion, "Condition")]
    assert codes == ["Q55.606", "E11.501", "I79.2", "N18.900x012"]
    (encounter,) = of(conversion, "Encounter")
    assert [diagnosis["rank"] for diagnosis in encounter["diagnosis"]] == [1, 2, 3, 4]


def test_the_asterisk_of_a_pair_is_due_to_its_dagger() -> None:
    conversion = settlement(wm_dise_code="E11.501+I79.2*")
    dagger, asterisk = of(conversion, "Condition")
    assert asterisk["extension"][0]["valueReference"]["reference"] == f"urn:uuid:{dagger['id']}"


@pytest.mark.parametrize("way", ["2", "3"])
def test_a_discharge_to_another_institution_is_a_referral(way: str) -> None:
    conversion = settlement(dscg_way=way, acp_medins_code="D2", acp_medins_name="示例社区卫生服务中心")
    (request,), (task,) = of(conversion, "ServiceRequest"), of(conversion, "Task")
    assert task["owner"] == request["performer"][0]
    assert task["owner"]["display"] == "示例社区卫生服务中心"


def test_a_discharge_home_is_no_referral_and_one_to_nowhere_has_no_task() -> None:
    assert of(settlement(), "ServiceRequest") == []
    nameless = settlement(dscg_way="2")
    assert len(of(nameless, "ServiceRequest")) == 1 and of(nameless, "Task") == []
    assert [field for field, text in warnings(nameless) if "no Task" in text] == ["dscg_way"]


def test_a_revocation_without_a_patient_is_read_and_drugs_for_nobody_are_not() -> None:
    revoked = {"infno": "D004", "input": {"hiRxno": "R1", "fixmedinsCode": "H1", "undoRea": "开错"}}
    (conversion,) = convert(json.dumps(revoked).encode(), "x.json", ADAPTER, "2026-01-01T00:00:00Z")
    (task,) = of(conversion, "Task")
    assert task["status"] == "cancelled" and not conversion.failed
    nobody = {"infno": "D001", "input": {"hiRxno": "R1", "rxdrugdetail": [{"drugGenname": "甲"}]}}
    (conversion,) = convert(json.dumps(nobody).encode(), "x.json", ADAPTER, "2026-01-01T00:00:00Z")
    assert conversion.failed


def test_all_services_of_a_prescription_write_one_task() -> None:
    ids = set()
    for service in ("D003", "D004", "D006", "D007"):
        body = {"infno": service, "input": {"hiRxno": "R1", "certno": "429900195603140175", "psnCertType": "01"}}
        (conversion,) = convert(json.dumps(body).encode(), "x.json", ADAPTER, "2026-01-01T00:00:00Z")
        (task,) = of(conversion, "Task")
        ids.add(task["id"])
    assert len(ids) == 1


cell = (
    st.text(max_size=20) | st.none() | st.integers() | st.sampled_from(["1", "2026-03-10", "140/90", "<3.9", "1,2,,8"])
)
follow_up = st.fixed_dictionaries(
    {"visitId": cell, "fbs": cell},
    optional=dict.fromkeys(
        [
            "idCard",
            "visitDate",
            "visitWay",
            "symptoms",
            "血压",
            "unit",
            "nextDate",
            "药物名称1",
            "每次剂量1",
            "agencyAndDept",
        ],
        cell,
    )
    | {"medicines": st.lists(st.dictionaries(st.sampled_from(["medicineName", "medicineDosage"]), cell), max_size=2)},
)


@settings(max_examples=150, deadline=None)
@given(follow_up)
def test_no_values_of_a_follow_up_make_the_mapping_break_off(row: dict[str, Any]) -> None:
    for conversion in convert(json.dumps(row).encode(), "x.json", ADAPTER, "2026-01-01T00:00:00Z"):
        assert not any(problem.code == "exception" for problem in conversion.problems), conversion.problems


settled = dict.fromkeys(
    ["wm_dise_code", "otp_wm_dise", "dscg_way", "adm_time", "act_ipt_days", "hi_type", "certno"], cell
)


@settings(max_examples=150, deadline=None)
@given(st.fixed_dictionaries({}, optional=settled))
def test_no_values_of_a_settlement_make_the_mapping_break_off(changes: dict[str, Any]) -> None:
    assert not any(problem.code == "exception" for problem in settlement(**changes).problems)
