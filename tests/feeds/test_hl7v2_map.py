"""What HL7 v2 messages become: every resource valid R4, every element traced, nothing dropped in silence."""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from adapters.contract import Mapped, Problem, Resource
from adapters.hl7v2 import ADAPTER
from adapters.kit.resource import id_of
from adapters.wire import to_json

SAMPLES = Path(__file__).parents[2] / "adapters" / "samples" / "hl7v2"
RECORDED = "2024-05-01T00:00:00Z"
RESIDENT = "urn:oid:2.16.156.10011.1.3"
ID_CARD = "110105194912310023"


def segment(name: str, **fields: str) -> str:
    """`segment("PID", f3="7")` -> `PID|||7`."""
    last = max(int(key[1:]) for key in fields)
    return "|".join([name, *(fields.get(f"f{number}", "") for number in range(1, last + 1))])


def header(kind: str = "ADT^A01", number: str = "M1") -> str:
    return f"MSH|^~\\&|HIS|TEST_HOSPITAL|||20240101080000||{kind}|{number}|P|2.4"


PID = segment("PID", f3="700^^^^PatientNO", f5="测试某", f8="1")
PV1 = segment("PV1", f2="I", f19="V1", f44="20240101070000")


def mapped(*segments: str, kind: str = "ADT^A01") -> Mapped:
    (parsed,) = ADAPTER.parse("\r".join([header(kind), *segments]).encode(), "")
    return ADAPTER.map(parsed.record)


def of(result: Mapped, type: str) -> list[Resource]:
    return [item.resource for item in result.items if item.resource["resourceType"] == type]


def one(result: Mapped, type: str) -> Resource:
    (found,) = of(result, type)
    return found


def said(result: Mapped, *severities: str) -> list[Problem]:
    return [problem for problem in result.problems if problem.severity in (severities or ("warning", "error"))]


def assert_valid(result: Mapped) -> None:
    for item in result.items:
        plain = json.loads(to_json(item.resource))
        get_fhir_model_class(plain["resourceType"]).model_validate(plain)


def key_of(result: Mapped, type: str) -> str:
    return next(item.key for item in result.items if item.resource["resourceType"] == type)


# --------------------------------------------------------------------------------------------- our samples
EXPECTED = {
    "ADT_A01.hl7": "AllergyIntolerance 1 Condition 2 Coverage 1 Encounter 1 Location 1 Observation 2 Organization 2 "
    "Patient 1 Practitioner 2",
    "ADT_A03.hl7": "Condition 1 Encounter 1 Location 1 Observation 1 Organization 1 Patient 1 Practitioner 1 "
    "Procedure 1",
    "ADT_A08_gb18030.hl7": "AllergyIntolerance 1 Condition 1 Encounter 1 Location 1 Organization 1 Patient 1 "
    "Practitioner 1",
    "REF_I12.hl7": "AllergyIntolerance 1 Condition 1 DiagnosticReport 1 Encounter 1 Location 3 Observation 3 "
    "Organization 3 Patient 1 Practitioner 2 PractitionerRole 2 ServiceRequest 1 Task 1",
}


@pytest.mark.parametrize("file", sorted(EXPECTED))
def test_a_sample_becomes_its_resources_and_all_are_valid(file: str) -> None:
    (parsed,) = ADAPTER.parse((SAMPLES / file).read_bytes(), file)
    result = ADAPTER.map(parsed.record)
    assert said(result) == [] == parsed.problems
    counts = Counter(item.resource["resourceType"] for item in result.items)
    assert " ".join(f"{type} {count}" for type, count in sorted(counts.items())) == EXPECTED[file]
    assert_valid(result)


def test_every_sample_file_is_expected() -> None:
    assert sorted(EXPECTED) == sorted(path.name for path in SAMPLES.glob("*.hl7"))


@pytest.mark.parametrize("file", sorted(EXPECTED))
def test_the_same_message_gives_the_same_transaction_every_time(file: str) -> None:
    content = (SAMPLES / file).read_bytes()
    (first,), (second,) = ADAPTER.parse(content, file), ADAPTER.parse(content, "elsewhere")
    results = [(parsed, ADAPTER.map(parsed.record)) for parsed in (first, second, first)]
    one, two, three = (to_json(ADAPTER.bundle(p, m, m.problems, RECORDED)) for p, m in results)
    assert one == two == three


@pytest.mark.parametrize("file", sorted(EXPECTED))
def test_every_reference_points_at_an_entry_and_every_trace_at_an_item(file: str) -> None:
    (parsed,) = ADAPTER.parse((SAMPLES / file).read_bytes(), file)
    result = ADAPTER.map(parsed.record)
    bundle = ADAPTER.bundle(parsed, result, result.problems, RECORDED)
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    assert len(urls) == len(bundle["entry"])
    for found in _references(bundle):
        assert found in urls or found.startswith(("Binary/", "DocumentReference/"))
    items = {item.key: item.resource for item in result.items}
    for trace in result.trace:
        head = trace.element.split(".")[1].split("[")[0]
        assert head in items[trace.key], trace
        assert trace.element.startswith(items[trace.key]["resourceType"])
    traced = {trace.key for trace in result.trace}
    assert traced == set(items)


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["reference"]] if isinstance(value.get("reference"), str) else []
        return own + [found for part in value.values() for found in _references(part)]
    return [found for part in value for found in _references(part)] if isinstance(value, list) else []


# ------------------------------------------------------------------------------------------------- Patient
def test_the_identity_card_number_stands_first_and_matches_the_patient() -> None:
    result = mapped(segment("PID", f3=f"K1^^^^IDCard~700^^^^PatientNO~{ID_CARD}^^^^IdentifyNO", f5="测试某"))
    patient = one(result, "Patient")
    assert [i["value"] for i in patient["identifier"]] == [ID_CARD, "700", "K1"]
    assert patient["identifier"][0]["system"] == RESIDENT
    assert patient["identifier"][1]["system"] == "urn:tiercare:hl7v2:TEST_HOSPITAL:id:PatientNO"
    assert [item.mode for item in result.items if item.resource is patient] == ["refreshed"]


def test_a_hospital_card_called_idcard_is_no_identity_card() -> None:
    patient = one(mapped(segment("PID", f3=f"{ID_CARD}^^^^IDCard")), "Patient")
    assert patient["identifier"][0]["system"] == "urn:tiercare:hl7v2:TEST_HOSPITAL:id:IDCard"


def test_a_resident_number_under_a_foreign_type_is_known_by_its_shape() -> None:
    patient = one(mapped(segment("PID", f3="700", f19=ID_CARD)), "Patient")
    assert patient["identifier"][0] == {
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "NI"}], "text": "SS"},
        "system": RESIDENT,
        "value": ID_CARD,
    }


def test_an_assigning_authority_with_an_oid_gives_the_system() -> None:
    patient = one(mapped(segment("PID", f3="700^^^HIS&1.2.156.1&ISO^MR")), "Patient")
    assert patient["identifier"][0]["system"] == "urn:oid:1.2.156.1"


def test_without_pid_3_the_older_fields_identify_the_patient() -> None:
    assert one(mapped(segment("PID", f2="E1", f4="A1")), "Patient")["identifier"][0]["value"] == "E1"


@pytest.mark.parametrize(
    ("written", "text", "rest"),
    [
        ("欧阳若水", "欧阳若水", {"family": "欧阳", "given": ["若水"]}),
        ("沈^望舒", "沈望舒", {"family": "沈", "given": ["望舒"]}),
        ("DOE^JOHN^A^JR^DR", "JOHN A DOE", {"family": "DOE", "given": ["JOHN", "A"], "suffix": ["JR"]}),
    ],
)
def test_names_are_read_in_the_ways_they_are_written(written: str, text: str, rest: dict[str, Any]) -> None:
    name = one(mapped(segment("PID", f3="7", f5=written)), "Patient")["name"][0]
    assert name["text"] == text
    assert rest.items() <= name.items()


@pytest.mark.parametrize("written", ["ShenWangshu^沈望舒", "沈望舒^^^Shen Wangshu"])
def test_pinyin_beside_a_chinese_name_is_a_second_name(written: str) -> None:
    names = one(mapped(segment("PID", f3="7", f5=written)), "Patient")["name"]
    assert [name["text"].replace(" ", "") for name in names] == ["沈望舒", "ShenWangshu"]


@pytest.mark.parametrize(
    ("code", "sex"), [("1", "male"), ("2", "female"), ("M", "male"), ("9", "unknown"), ("女", "female")]
)
def test_sex_is_understood_by_table_0001_and_gb_t_2261(code: str, sex: str) -> None:
    assert one(mapped(segment("PID", f3="7", f8=code)), "Patient")["gender"] == sex


def test_null_and_placeholders_leave_no_element() -> None:
    result = mapped(
        segment("PID", f3="7", f5="某", f7='""', f8='""', f11="无^^^^^^H~同上", f13="-", f16='""', f22="无")
    )
    assert set(one(result, "Patient")) == {"resourceType", "identifier", "name"}
    assert said(result, "warning", "error", "information") == []


def test_an_unknown_sex_is_a_warning_that_names_the_code() -> None:
    result = mapped(segment("PID", f3="7", f8="X"))
    assert "gender" not in one(result, "Patient")
    assert [(p.field, p.line, "X" in p.text) for p in said(result)] == [("PID-8", 2, True)]


def test_the_phone_is_found_where_chinese_and_other_systems_write_it() -> None:
    patient = one(
        mapped(segment("PID", f3="7", f13="^^^^^^^^13800010001~^PRN^PH^^86^010^65550000", f14="x@y.cn")), "Patient"
    )
    assert patient["telecom"] == [
        {"system": "phone", "value": "13800010001", "use": "mobile"},
        {"system": "phone", "value": "+86 010 65550000", "use": "home"},
        {"system": "email", "value": "x@y.cn", "use": "work"},
    ]


def test_a_newborn_counter_is_listed_and_no_identifier() -> None:
    result = mapped(segment("PID", f3="0^^^&YEXH~700^^^&PATID"))
    assert [i["value"] for i in one(result, "Patient")["identifier"]] == ["700"]
    assert [p.field for p in said(result, "information")] == ["PID-3"]


def test_next_of_kin_becomes_a_contact() -> None:
    result = mapped(PID, segment("NK1", f2="陆采薇", f3="10^配偶", f4="同上", f5="13800010002"))
    (contact,) = one(result, "Patient")["contact"]
    assert contact["name"]["text"] == "陆采薇"
    assert contact["telecom"][0]["value"] == "13800010002"
    assert contact["relationship"][0]["text"] == "配偶"
    assert_valid(result)


# --------------------------------------------------------------------------------------------------- visit
@pytest.mark.parametrize(
    ("kind", "fields", "status"),
    [
        ("ADT^A01", {}, "in-progress"),
        ("ADT^A03", {}, "finished"),
        ("ADT^A08", {}, "in-progress"),
        ("ADT^A08", {"f45": "20240105"}, "finished"),
        ("ADT^A08", {"f2": "P"}, "planned"),
        ("ADT^A08^ADT_A01", {}, "in-progress"),
    ],
)
def test_the_event_says_the_status_of_the_visit(kind: str, fields: dict[str, str], status: str) -> None:
    result = mapped(PID, segment("PV1", **({"f2": "I", "f19": "V1", "f44": "20240101"} | fields)), kind=kind)
    assert one(result, "Encounter")["status"] == status
    assert_valid(result)


def test_admission_update_and_discharge_are_one_encounter() -> None:
    events = ("ADT^A01", "ADT^A08", "ADT^A03")
    assert len({key_of(mapped(PID, PV1, kind=kind), "Encounter") for kind in events}) == 1


def test_without_a_visit_number_the_time_of_admission_tells_visits_apart() -> None:
    first, second = (mapped(PID, segment("PV1", f2="I", f44=day)) for day in ("20240101", "20240201"))
    assert key_of(first, "Encounter") != key_of(second, "Encounter")
    nothing = mapped(PID, segment("PV1", f2="I"))
    assert [p.field for p in said(nothing)] == ["PV1-19"]


def test_the_discharge_time_of_a03_comes_from_the_event_when_pv1_has_none() -> None:
    result = mapped(segment("EVN", f6="20240105090000"), PID, PV1, kind="ADT^A03")
    assert one(result, "Encounter")["period"]["end"] == "2024-01-05T09:00:00+08:00"


def test_a_discharge_before_the_admission_is_left_out_with_a_warning() -> None:
    result = mapped(PID, segment("PV1", f2="I", f19="V1", f44="20240105", f45="20240101120000"))
    assert one(result, "Encounter")["period"] == {"start": "2024-01-05"}
    assert [p.field for p in said(result)] == ["PV1-45"]


def test_an_unknown_patient_class_is_kept_in_the_senders_own_system() -> None:
    result = mapped(PID, segment("PV1", f2="家床^家庭病床", f19="V1"))
    found = one(result, "Encounter")["class"]
    assert (found["code"], found["display"]) == ("家床", "家庭病床")
    assert found["system"].startswith("urn:tiercare:hl7v2:TEST_HOSPITAL:")
    assert [p.field for p in said(result)] == ["PV1-2"]


def test_doctors_without_a_number_are_named_and_no_resource() -> None:
    result = mapped(PID, segment("PV1", f2="I", f19="V1", f7="^某医生", f8="D1^另医生~D2"))
    people = one(result, "Encounter")["participant"]
    assert [p["individual"].get("display") for p in people] == ["某医生", "另医生", None]
    assert [p["identifier"][0]["value"] for p in of(result, "Practitioner")] == ["D1", "D2"]


# ------------------------------------------------------------------------------------------------ clinical
def test_a_diagnosis_without_a_code_keeps_its_text() -> None:
    result = mapped(PID, PV1, segment("DG1", f3="^肺炎", f6="11"))
    assert one(result, "Condition")["code"] == {"text": "肺炎"}
    assert one(result, "Encounter")["diagnosis"][0]["use"] == {"text": "11"}
    assert [p.field for p in said(result)] == ["DG1-6"]


def test_an_unknown_code_is_kept_with_its_text_in_the_senders_system() -> None:
    result = mapped(PID, PV1, segment("DG1", f3="ZZ9^院内诊断^99LOCAL"))
    assert one(result, "Condition")["code"] == {
        "coding": [{"system": "urn:tiercare:hl7v2:TEST_HOSPITAL:code:99LOCAL", "code": "ZZ9", "display": "院内诊断"}],
        "text": "院内诊断",
    }


def test_a_deleted_diagnosis_is_entered_in_error() -> None:
    result = mapped(PID, PV1, segment("DG1", f3="J18.9^肺炎^I10", f6="A", f21="D"))
    assert one(result, "Condition")["verificationStatus"]["coding"][0]["code"] == "entered-in-error"


def test_equal_segments_are_one_resource_and_unequal_ones_of_one_code_are_two() -> None:
    same = segment("AL1", f1="1", f3="1605^acetaminophen^L")
    result = mapped(PID, same, same.replace("|1|", "|2|"), segment("AL1", f3="1605^acetaminophen^L", f5="皮疹"))
    assert len(of(result, "AllergyIntolerance")) == 2
    assert [p.code for p in said(result, "information")] == ["duplicate"]
    assert len({id_of(item.key) for item in result.items}) == len(result.items)


def test_an_allergy_is_active_with_its_category_severity_and_reactions() -> None:
    allergy = one(mapped(PID, segment("AL1", f2="FA", f3="^海虾", f4="SV", f5="皮疹~胸闷")), "AllergyIntolerance")
    assert allergy["clinicalStatus"]["coding"][0]["code"] == "active"
    assert (allergy["category"], allergy["criticality"]) == (["food"], "high")
    assert allergy["reaction"] == [{"manifestation": [{"text": "皮疹"}, {"text": "胸闷"}], "severity": "severe"}]


@pytest.mark.parametrize(
    ("kind", "value", "element", "content"),
    [
        ("NM", "7.30", "valueQuantity", {"value": Decimal("7.30"), "unit": "g"}),
        ("NM", "120", "valueQuantity", {"value": 120, "unit": "g"}),
        ("NM", "阴性", "valueString", "阴性"),
        ("SN", ">^160", "valueQuantity", {"value": 160, "unit": "g", "comparator": ">"}),
        ("SN", "^1^-^2", "valueRange", {"low": {"value": 1, "unit": "g"}, "high": {"value": 2, "unit": "g"}}),
        ("SN", "^1^:^128", "valueRatio", {"numerator": {"value": 1}, "denominator": {"value": 128}}),
        ("ST", "a^b", "valueString", "a^b"),
        ("TX", "两行\\.br\\文字", "valueString", "两行\n文字"),
        ("CE", "P^阳性^99X", "valueCodeableConcept", None),
        ("TS", "20240102", "valueDateTime", "2024-01-02"),
        ("DT", "昨天", "valueString", "昨天"),
    ],
)
def test_a_result_keeps_its_type(kind: str, value: str, element: str, content: Any) -> None:
    result = mapped(PID, PV1, segment("OBX", f2=kind, f3="X^项目", f5=value, f6="g", f11="F"))
    found = one(result, "Observation")
    assert [name for name in found if name.startswith("value")] == [element]
    assert content is None or found[element] == content
    assert_valid(result)


def test_a_decimal_keeps_the_digits_it_was_written_with() -> None:
    result = mapped(PID, segment("OBX", f2="NM", f3="X^项目", f5="1.00", f11="F"))
    assert b'"value":1.00' in to_json(one(result, "Observation"))


def test_no_repetition_of_a_result_is_lost() -> None:
    found = one(mapped(PID, segment("OBX", f2="NM", f3="X^项目", f5="60~120", f11="F")), "Observation")
    assert [part["valueQuantity"]["value"] for part in found["component"]] == [60, 120]


@pytest.mark.parametrize(
    ("code", "status"), [("F", "final"), ("D", "entered-in-error"), ("X", "cancelled"), ("", "unknown")]
)
def test_the_result_status_is_that_of_obx_11(code: str, status: str) -> None:
    result = mapped(PID, segment("OBX", f2="ST", f3="X^项目", f5="a", f11=code, f14="20240101"))
    assert one(result, "Observation")["status"] == status


def test_an_attached_document_is_kept() -> None:
    result = mapped(PID, segment("OBX", f2="ED", f3="X^报告", f5="HIS^AP^PDF^Base64^JVBERi0=", f11="F"))
    attachment = one(result, "DocumentReference")["content"][0]["attachment"]
    assert attachment == {"contentType": "application/pdf", "data": "JVBERi0=", "title": "报告"}
    assert_valid(result)


# ------------------------------------------------------------------------------------------------ referral
RF1 = segment("RF1", f1="P", f2="U", f6="Z1", f7="20240101", f10="^原因")
RT = segment("PRD", f1="RT", f2="接诊某", f7="D9", f10="上级医院")


@pytest.mark.parametrize(
    ("code", "request_status", "task_status"),
    [
        ("P", "active", "requested"),
        ("A", "active", "accepted"),
        ("R", "revoked", "rejected"),
        ("E", "revoked", "cancelled"),
    ],
)
def test_the_referral_status_is_that_of_the_request_and_of_its_task(
    code: str, request_status: str, task_status: str
) -> None:
    result = mapped(RF1.replace("RF1|P", f"RF1|{code}"), RT, PID, kind="REF^I12")
    assert one(result, "ServiceRequest")["status"] == request_status
    assert one(result, "Task")["status"] == task_status
    assert_valid(result)


def test_the_referral_leads_from_the_referring_to_the_receiving_side() -> None:
    result = mapped(RF1, segment("PRD", f1="RP", f2="转出某", f10="社区中心"), RT, PID, kind="REF^I12")
    request = one(result, "ServiceRequest")
    assert request["requester"]["display"] == "转出某"
    assert [performer["display"] for performer in request["performer"]] == ["接诊某"]
    assert {o["name"] for o in of(result, "Organization")} == {"TEST_HOSPITAL", "社区中心", "上级医院"}
    assert (request["priority"], request["authoredOn"]) == ("urgent", "2024-01-01")
    assert one(result, "Task")["focus"]["reference"] == f"urn:uuid:{id_of(key_of(result, 'ServiceRequest'))}"


def test_a_referral_does_not_overwrite_the_patient_of_the_hospital() -> None:
    result = mapped(RF1, RT, PID, kind="REF^I12")
    assert [item.mode for item in result.items if item.resource["resourceType"] == "Patient"] == ["shared"]


# ------------------------------------------------------------------------------------------------ unmapped
def test_segments_and_fields_without_a_rule_are_listed_with_their_line() -> None:
    result = mapped(PID, PV1, "ZYB|1|本地", "UB1|1|X", segment("PID", f1="2"), segment("DG1", f3="^某病", f8="DRG9"))
    listed = {(p.field, p.line) for p in said(result, "information")}
    assert {("ZYB", 4), ("UB1", 5), ("DG1-8", 7)} <= listed
    assert all(p.code == "unmapped" for p in said(result, "information"))


@pytest.mark.parametrize("kind", ["ADT^ZP1", "QBP^Q21", "MFN^M02", "ORU^R99"])
def test_other_message_types_are_not_supported(kind: str) -> None:
    result = mapped(PID, kind=kind)
    assert result.items == []
    assert [(p.code, p.field, p.line) for p in said(result)] == [("not-supported", "MSH-9", 1)]
    assert said(result)[0].text.startswith(f"unsupported message type {kind}")
