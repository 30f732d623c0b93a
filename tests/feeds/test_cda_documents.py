"""The CDA adapter: what each kind of document becomes. Documents are the project's own synthetic samples."""

import itertools
import json
from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class

from adapters import cda
from adapters.cda import ADAPTER
from adapters.cda.tables import data_element
from adapters.kit.codes import table
from adapters.wire import to_json
from server.validation.structure import check
from tests.feeds.cases.cda_builder import (
    ICD,
    PATIENT,
    SAMPLES,
    by_code,
    convert_one,
    counts,
    document,
    entry_of,
    observation,
    one,
    resources,
    sample,
    section,
    st,
    told,
    transaction,
)

CONVERTED = {
    "discharge_record_c0049.gb18030.xml": {
        "Bundle": 1,
        "CarePlan": 1,
        "Composition": 1,
        "Condition": 4,
        "Encounter": 1,
        "MedicationStatement": 1,
        "Observation": 6,
        "Organization": 1,
        "Patient": 1,
        "Practitioner": 2,
    },
    "discharge_summary_c0053.xml": {
        "Bundle": 1,
        "CarePlan": 1,
        "Composition": 1,
        "Condition": 2,
        "Encounter": 1,
        "MedicationStatement": 2,
        "Observation": 13,
        "Organization": 1,
        "Patient": 1,
        "Practitioner": 2,
        "Procedure": 1,
    },
    "front_page_c0032.xml": {
        "Bundle": 1,
        "Composition": 1,
        "Condition": 1,
        "Encounter": 1,
        "Observation": 4,
        "Organization": 2,
        "Patient": 1,
        "Practitioner": 1,
        "PractitionerRole": 1,
        "ServiceRequest": 1,
    },
    "referral_a0003.xml": {
        "Bundle": 1,
        "Composition": 1,
        "Condition": 1,
        "Observation": 1,
        "Organization": 3,
        "Patient": 1,
        "Practitioner": 1,
        "PractitionerRole": 1,
        "ServiceRequest": 1,
    },
}
RECORD, SUMMARY, FRONT_PAGE, REFERRAL = CONVERTED


@pytest.mark.parametrize("name", CONVERTED)
def test_a_sample_becomes_the_resources_it_holds(name: str) -> None:
    assert counts(sample(name)) == CONVERTED[name]


@pytest.mark.parametrize("name", CONVERTED)
def test_every_resource_of_a_sample_is_valid(name: str) -> None:
    for entry in transaction(sample(name))["entry"]:
        resource = entry["resource"]
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.mark.parametrize("name", CONVERTED)
def test_a_sample_converts_without_a_warning(name: str) -> None:
    assert [p.text for p in sample(name).problems if p.severity != "information"] == []


@pytest.mark.parametrize("name", CONVERTED)
def test_the_server_finds_no_fault_in_the_structure_of_a_sample(name: str) -> None:
    found = json.loads(to_json(sample(name).transaction))
    assert [issue for resource in [found, *(e["resource"] for e in found["entry"])] for issue in check(resource)] == []


def test_every_sample_file_is_recognised_and_tested() -> None:
    names = {path.name for path in SAMPLES.glob("*.xml")}
    assert names == {*CONVERTED, "discharge_summary_not_well_formed.xml"}
    assert all(ADAPTER.recognises((SAMPLES / name).read_bytes(), name) for name in names)


@pytest.mark.parametrize("content", [b"", b"MSH|^~\\&|", b'{"a": 1}', b"<html><ClinicalDocument/></html>", b"\xff\xfe"])
def test_other_content_is_not_recognised(content: bytes) -> None:
    assert not ADAPTER.recognises(content, "x.xml")


# ------------------------------------------------------------------------------------------- discharge record
def test_the_first_11535_2_of_a_discharge_record_is_the_admission_diagnosis() -> None:
    record = sample(RECORD)
    roles = [[part.get("text") for part in c["category"][1:]] for c in resources(record, "Condition")]
    assert roles == [["入院诊断"], ["出院诊断"], ["出院诊断", "中医病名"], ["出院诊断", "中医证候"]]
    uses = [d["use"]["coding"][0]["code"] for d in one(record, "Encounter")["diagnosis"]]
    assert uses == ["AD", "DD", "DD", "DD"]
    titles = [
        (s["title"], s["code"]["coding"][0]["code"]) for s in one(record, "Composition")["section"] if "code" in s
    ]
    assert titles[1] == ("入院诊断", "11535-2")
    assert titles[-1] == ("出院诊断", "11535-2")


def test_one_11535_2_beside_46241_6_is_the_discharge_diagnosis() -> None:
    roles = [c["category"][1]["text"] for c in resources(sample(SUMMARY), "Condition")]
    assert roles == ["入院诊断", "出院诊断"]


def test_a_diagnosis_has_its_name_as_text_and_its_code_beside_it() -> None:
    _, western, tcm, _ = resources(sample(RECORD), "Condition")
    assert western["code"] == {
        "coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "I10.x00x002", "display": "高血压病2级"}],
        "text": "高血压病2级（很高危）",
    }
    assert tcm["code"]["coding"][0]["system"] == "urn:oid:2.16.156.10011.2.3.3.14"


def test_admission_and_discharge_times_of_the_body_are_the_period_of_the_visit() -> None:
    visit = one(sample(RECORD), "Encounter")
    assert visit["period"] == {"start": "2024-03-05T10:20:00+08:00", "end": "2024-03-13T09:30:00+08:00"}
    assert visit["length"]["value"] == 8
    assert visit["class"]["code"] == "IMP"
    assert visit["identifier"][0]["value"] == "ZY0240317"
    places = [(p["location"]["display"], p["physicalType"]["coding"][0]["code"]) for p in visit["location"]]
    assert places == [("17床", "bd"), ("305病房", "ro"), ("内科三病区", "wa")]
    assert visit["serviceType"]["text"] == "心血管内科"


def test_discharge_orders_are_a_care_plan_with_an_activity_for_each_order() -> None:
    record = sample(RECORD)
    plan = one(record, "CarePlan")
    assert plan["description"].startswith("1、低盐低脂饮食")
    assert [a["detail"]["description"] for a in plan["activity"]] == [
        "低盐低脂饮食，每日食盐不超过5g；",
        "苯磺酸氨氯地平片5mg每日一次口服；",
        "两周后到社区卫生服务中心随访血压。",
    ]
    addressed = [entry_of(record, reference)["category"][1]["text"] for reference in plan["addresses"]]
    assert addressed == ["出院诊断"] * 3


def test_herbal_orders_in_words_are_one_medication_statement() -> None:
    statement = one(sample(RECORD), "MedicationStatement")
    assert [dosage["text"] for dosage in statement["dosage"]] == [
        "中药煎煮方法：天麻钩藤饮，水煎，钩藤后下",
        "中药用药方法：每日一剂，早晚分服",
    ]


# ------------------------------------------------------------------------------------------ discharge summary
def test_an_operation_has_its_outcome_notes_and_surgeon() -> None:
    summary = sample(SUMMARY)
    operation = one(summary, "Procedure")
    assert operation["code"]["coding"][0]["code"] == "47.0100"
    assert operation["performedDateTime"] == "2024-04-02T14:30:00+08:00"
    assert operation["outcome"]["text"] == "甲"
    assert [note["text"] for note in operation["note"]] == [
        "手术切口类别代码：Ⅱ类切口 (3)",
        "麻醉方法代码：全身麻醉 (1)",
        "手术过程：置入腹腔镜，见阑尾充血肿胀，表面脓苔，完整切除。",
    ]
    assert entry_of(summary, operation["performer"][0]["actor"])["name"][0]["text"] == "程远航"


def test_a_drug_entry_has_dose_route_and_timing() -> None:
    first, _ = resources(sample(SUMMARY), "MedicationStatement")
    (dosage,) = first["dosage"]
    assert first["medicationCodeableConcept"]["text"] == "头孢呋辛酯片"
    assert dosage["route"]["text"] == "口服"
    assert dosage["doseAndRate"][0]["doseQuantity"] == {
        "value": "0.50",
        "unit": "g",
        "system": "http://unitsofmeasure.org",
        "code": "g",
    }
    assert dosage["timing"]["repeat"] == {"frequency": 2, "period": 1, "periodUnit": "d"}
    assert first["note"] == [{"text": "药物规格：0.25g*12片"}]


def test_a_rate_that_is_no_frequency_stays_text() -> None:
    drug = """<substanceAdministration><doseQuantity value="20" unit="mg"/><rateQuantity value="3" unit="日"/>
      <consumable><manufacturedProduct><manufacturedLabeledDrug><name>某药片</name></manufacturedLabeledDrug>
      </manufacturedProduct></consumable></substanceAdministration>"""
    statement = one(convert_one(document(section("10160-0", drug))), "MedicationStatement")
    assert statement["dosage"][0]["text"] == "每次20mg，3日"
    assert "timing" not in statement["dosage"][0]


def test_the_patient_is_found_by_identity_card_and_keeps_address_contact_and_age() -> None:
    summary = sample(SUMMARY)
    (entry,) = [e for e in transaction(summary)["entry"] if e["resource"]["resourceType"] == "Patient"]
    patient = entry["resource"]
    assert entry["request"]["ifNoneExist"] == "identifier=urn:oid:2.16.156.10011.1.3|370102196809220315"
    assert [i["value"] for i in patient["identifier"]] == [
        "370102196809220315",
        "370100A0087741120",
        "ZY0241108",
    ]
    assert patient["name"][0] == {"text": "霍启元", "family": "霍", "given": ["启元"]}
    assert (patient["gender"], patient["birthDate"]) == ("male", "1968-09-22")
    # houserNumber is how one edition of the standard spells it
    assert patient["address"][0]["line"] == ["东风街道", "文澜街", "7号院4号楼101"]
    assert patient["telecom"][0]["value"] == "13700000102"
    assert patient["contact"][0]["name"]["text"] == "霍明月"
    assert by_code(summary, "DE02.01.026.00")["valueQuantity"]["value"] == 55


def test_a_coded_result_and_a_result_in_an_organizer_are_observations() -> None:
    summary = sample(SUMMARY)
    assert by_code(summary, "DE05.10.113.00")["valueCodeableConcept"]["text"] == "治愈"
    assert by_code(summary, "DE04.50.128.00")["valueString"].startswith("WBC 16.20")


# -------------------------------------------------------------------------------------------------- front page
def test_leaving_for_a_community_centre_is_a_referral_downwards() -> None:
    page = sample(FRONT_PAGE)
    request, visit = one(page, "ServiceRequest"), one(page, "Encounter")
    assert request["category"] == [{"text": "下转"}]
    assert (request["status"], request["intent"]) == ("active", "order")
    receiver = entry_of(page, request["performer"][0])
    assert receiver["name"] == "柳荫街道社区卫生服务中心"
    assert entry_of(page, request["reasonReference"][0])["code"]["text"] == "脑梗死恢复期"
    role = entry_of(page, request["requester"])
    assert entry_of(page, role["organization"])["name"] == "泉城区第一人民医院"
    assert visit["hospitalization"]["dischargeDisposition"]["coding"][0]["code"] == "3"
    assert visit["hospitalization"]["admitSource"]["text"] == "急诊"
    assert visit["hospitalization"]["destination"] == request["performer"][0]


def test_the_condition_on_admission_is_an_observation_about_the_diagnosis() -> None:
    page = sample(FRONT_PAGE)
    told_ = by_code(page, "DE09.00.104.00")
    assert told_["valueCodeableConcept"]["text"] == "有"
    assert entry_of(page, told_["focus"][0])["resourceType"] == "Condition"


def test_money_keeps_its_digits_and_currency() -> None:
    assert by_code(sample(FRONT_PAGE), "HDSD00.11.142")["valueQuantity"] == {
        "value": "18320.50",
        "unit": "元",
        "system": "urn:iso:std:iso:4217",
        "code": "CNY",
    }


def test_an_ordinary_discharge_is_no_referral() -> None:
    left = observation("DE06.00.223.00", '<value xsi:type="CD" code="1" displayName="医嘱离院"/>', "离院方式")
    conversion = convert_one(document(section("11535-2", left), code="C0032", title="住院病案首页"))
    assert resources(conversion, "ServiceRequest") == []
    assert one(conversion, "Encounter")["hospitalization"]["dischargeDisposition"]["text"] == "医嘱离院"


def test_a_transfer_without_a_receiver_is_kept_with_a_warning() -> None:
    left = observation("DE06.00.223.00", '<value xsi:type="CD" code="2"/>', "离院方式")
    conversion = convert_one(document(section("11535-2", left), code="C0032", title="住院病案首页"))
    assert "performer" not in one(conversion, "ServiceRequest")
    assert "no receiving institution" in told(conversion, "warning")[0].text


# ---------------------------------------------------------------------------------------------------- referral
def test_a_referral_has_receiver_department_reason_and_date() -> None:
    referral = sample(REFERRAL)
    request = one(referral, "ServiceRequest")
    assert entry_of(referral, request["performer"][0])["name"] == "泉城区第一人民医院"
    assert request["performerType"]["text"] == "心血管内科"
    assert request["reasonCode"] == [{"text": "胸痛发作频繁，需进一步行冠脉造影检查"}]
    assert request["occurrenceDateTime"] == "2024-06-12"
    assert request["authoredOn"] == "2024-06-11T09:48:23+08:00"
    assert entry_of(referral, request["reasonReference"][0])["code"]["text"] == "不稳定型心绞痛"
    role = entry_of(referral, request["requester"])
    assert entry_of(referral, role["practitioner"])["name"][0]["text"] == "孔令仪"
    assert entry_of(referral, role["organization"])["name"] == "柳荫街道社区卫生服务中心"


def test_aliases_of_the_2011_edition_are_the_national_identifiers() -> None:
    patient = one(sample(REFERRAL), "Patient")
    assert patient["identifier"] == [
        {"type": {"text": "居民身份证号"}, "system": "urn:oid:2.16.156.10011.1.3", "value": "370102197705300059"},
        {
            "type": {"text": "城乡居民健康档案编号"},
            "system": "urn:oid:2.16.156.10011.1.2",
            "value": "37010200100500219",
        },
    ]


def test_letters_for_digits_in_a_data_element_are_understood() -> None:
    referral = sample(REFERRAL)
    assert by_code(referral, "DE04.30.015.04")["valueString"].startswith("十二导联心电图")
    assert [p.text for p in referral.problems if p.code == "code-invalid"] == [
        "DE04.30.Ol5.04 is read as DE04.30.015.04"
    ]


def test_a_referral_flag_that_says_no_is_no_referral() -> None:
    flag = observation("DE06.00.174.00", '<value xsi:type="BL" value="false"/>', "转诊标志")
    conversion = convert_one(document(section("18776-1", flag), code="A010401", title="高血压患者随访服务"))
    assert resources(conversion, "ServiceRequest") == []
    assert by_code(conversion, "DE06.00.174.00")["valueBoolean"] is False


# ------------------------------------------------------------------------------------------- values and tables
VALUES = [
    ('<value xsi:type="ST">头晕</value>', {"valueString": "头晕"}),
    ('<value xsi:type="ST">无</value>', {"valueString": "无"}),
    ('<value xsi:type="PQ" value="37.60" unit="℃"/>', {"valueQuantity": ("37.60", "℃", "Cel")}),
    ('<value xsi:type="PQ" value="3" unit="贴"/>', {"valueQuantity": (3, "贴", None)}),
    ('<value xsi:type="PQ" value="&gt;60" unit="ml"/>', {"valueString": ">60 ml"}),
    ('<value xsi:type="REAL" value="1.1234"/>', {"valueQuantity": ("1.1234", None, None)}),
    ('<value xsi:type="INT" value="4"/>', {"valueInteger": 4}),
    ('<value xsi:type="BL" value="true"/>', {"valueBoolean": True}),
    ('<value xsi:type="TS" value="202403051020"/>', {"valueDateTime": "2024-03-05T10:20:00+08:00"}),
    ('<value xsi:type="TS" value="2012-08-23"/>', {"valueDateTime": "2012-08-23"}),
    ('<value xsi:type="IVL_TS" value="30" unit="min"/>', {"valueQuantity": (30, "min", "min")}),
    (
        '<value xsi:type="IVL_TS"><low value="2024"/><high value="2025"/></value>',
        {"valuePeriod": {"start": "2024", "end": "2025"}},
    ),
]


@pytest.mark.parametrize(("xml", "expected"), VALUES)
def test_a_value_becomes_its_fhir_type(xml: str, expected: dict[str, object]) -> None:
    conversion = convert_one(document(section("30954-2", observation("DE04.10.258.00", xml, "检查"))))
    made = by_code(conversion, "DE04.10.258.00")
    ((name, value),) = expected.items()
    if name == "valueQuantity":
        found = made[name]
        assert (found["value"], found.get("unit"), found.get("code")) == value
    else:
        assert made[name] == value
    get_fhir_model_class("Observation").model_validate(made)


@pytest.mark.parametrize("empty", ["", "-", "/", "NA"])
def test_a_statement_without_a_value_is_no_observation(empty: str) -> None:
    conversion = convert_one(document(section("30954-2", observation("DE04.10.258.00", st(empty), "检查"))))
    assert resources(conversion, "Observation") == []


def test_an_unknown_code_is_kept_with_its_text() -> None:
    value = f'<value xsi:type="CD" code="Q99.x99x999" displayName="未知综合征" {ICD}/>'
    conversion = convert_one(document(section("11535-2", observation("DE05.01.024.00", value, "出院诊断"))))
    assert one(conversion, "Condition")["code"] == {
        "coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "Q99.x99x999", "display": "未知综合征"}],
        "text": "未知综合征",
    }


def test_a_data_element_without_a_rule_is_an_observation_and_said_aloud() -> None:
    conversion = convert_one(document(section("30954-2", observation("DE77.66.555.44", st("有值"), "新元素"))))
    assert by_code(conversion, "DE77.66.555.44")["valueString"] == "有值"
    (problem,) = [p for p in told(conversion, "information") if "DE77.66.555.44" in p.text]
    assert problem.code == "unmapped"
    assert problem.line is not None


def test_a_document_type_without_rules_is_converted_by_its_data_elements() -> None:
    pressure = observation("DE04.10.174.00", '<value xsi:type="PQ" value="182" unit="mmHg"/>', "收缩压")
    conversion = convert_one(document(section("8716-3", pressure), code="C0099", title="某新文档"))
    made = by_code(conversion, "8480-6")
    assert made["valueQuantity"]["code"] == "mm[Hg]"
    assert made["category"][0]["coding"][0]["code"] == "vital-signs"
    assert one(conversion, "Composition")["type"]["text"] == "某新文档"
    assert any("C0099" in p.text and p.code == "unmapped" for p in told(conversion, "information"))


def test_an_element_without_a_rule_is_named_with_its_line() -> None:
    patient = PATIENT.replace("</patient>", '\n<bloodline value="雪豹"/></patient>')
    content = document(section("30954-2"), patient=patient)
    conversion = convert_one(content)
    (problem,) = told(conversion, "information")
    assert "雪豹" in problem.text
    assert problem.field == "recordTarget/patientRole/patient/bloodline"
    assert problem.line is not None
    assert "雪豹" in content.decode().splitlines()[problem.line - 1]


def test_the_tables_name_all_53_documents_and_only_rules_that_exist() -> None:
    documents = table("adapters.cda", "documents.csv")
    assert {f"C{number:04}" for number in range(1, 54)} <= set(documents)
    rules = {row[1] for row in table("adapters.cda", "elements.csv").values()} - {""}
    source = "".join(path.read_text("utf-8") for path in Path(cda.__file__).parent.glob("*.py"))
    assert {rule for rule in rules if f'"{rule}"' not in source} == set()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("DE02.Ol.015.00", "DE02.01.015.00"),
        ("DE06.0.039.00", "DE06.00.039.00"),
        ("DE02.0 1.052.00", "DE02.01.052.00"),
        ("DE9999999999999", ""),
        ("HDSD00.11.142", "HDSD00.11.142"),
    ],
)
def test_slips_in_a_data_element_are_mended(written: str, meant: str) -> None:
    assert data_element(written) == meant


# ------------------------------------------------------------------------------------------------------- trace
def test_every_element_knows_the_line_it_came_from() -> None:
    record = sample(RECORD)
    assert record.mapped is not None
    lines = (SAMPLES / RECORD).read_bytes().decode("gb18030").splitlines()
    (born,) = [t for t in record.mapped.trace if t.element == "Patient.birthDate"]
    assert born.line is not None
    assert "birthTime" in lines[born.line - 1]
    (plan,) = [t for t in record.mapped.trace if t.element == "CarePlan.description"]
    assert plan.field == "DE06.00.287.00"
    assert plan.line is not None
    assert "出院医嘱" in "".join(lines[plan.line - 1 : plan.line + 1])


# ----------------------------------------------------------------------------------------------- identity, keys
def test_the_same_bytes_give_the_same_transaction() -> None:
    for name in CONVERTED:
        assert transaction(sample(name)) == transaction(sample(name))


def test_a_new_version_of_a_set_updates_the_same_resources() -> None:
    content = (SAMPLES / SUMMARY).read_bytes()
    newer = content.replace(b'extension="CYXJ-2024-001108"', b'extension="CYXJ-2024-001199"', 1)
    assert newer != content
    urls = [
        [e["request"]["url"] for e in transaction(convert_one(c))["entry"] if "?" not in e["request"]["url"]]
        for c in (content, newer)
    ]
    assert urls[0][2:] == urls[1][2:]  # all but the raw message


def test_documents_of_other_types_with_the_same_number_stay_apart() -> None:
    entries = [section("30954-2", observation("DE04.10.258.00", st("甲"), "检查"))]
    ids = [one(convert_one(document(*entries, code=code)), "Composition")["id"] for code in ("C0049", "C0053", "C0002")]
    assert len(set(ids)) == 3


def test_no_document_overwrites_a_resource_of_another() -> None:
    written: dict[str, str] = {}
    for code, title in (("C0049", "出院记录"), ("C0032", "住院病案首页"), ("C0004", "西药处方")):
        conversion = convert_one(document(section("30954-2"), code=code, title=title))
        assert one(conversion, "Encounter")["identifier"][0]["value"] == "ZY001"
        urls = [e["request"]["url"] for e in transaction(conversion)["entry"] if e["request"]["method"] == "PUT"]
        assert [f"{url} of {written[url]}" for url in urls if url in written] == []
        written |= dict.fromkeys(urls, code)


def test_an_institution_without_a_code_is_shared_by_its_name_within_its_source() -> None:
    page = sample(FRONT_PAGE)
    receiver = entry_of(page, one(page, "ServiceRequest")["performer"][0])
    (number,) = receiver["identifier"]
    assert number == {"system": "urn:tiercare:local:99000000A:name", "value": "柳荫街道社区卫生服务中心"}
    (entry,) = [e for e in transaction(page)["entry"] if e["resource"] == receiver]
    assert entry["request"]["ifNoneExist"].startswith("identifier=urn:tiercare:local:99000000A:name|")


def test_a_hospitals_own_number_never_matches_another_hospitals_patient() -> None:
    role = '<recordTarget><patientRole><id root="2.16.156.10011.1.12" extension="ZY001"/></patientRole></recordTarget>'
    here = document(section("30954-2"), patient=role)
    there = here.replace(b"99000000A", b"99000000B")
    criteria = [
        [e["request"]["ifNoneExist"] for e in transaction(convert_one(c))["entry"] if e["request"]["url"] == "Patient"]
        for c in (here, there)
    ]
    assert criteria[0] != criteria[1]
    numbers = one(convert_one(here), "Patient")["identifier"]
    assert {"type": {"text": "住院号"}, "system": "urn:oid:2.16.156.10011.1.12", "value": "ZY001"} in numbers


def test_staff_with_the_same_number_in_two_hospitals_are_two_people() -> None:
    here = document(section("30954-2"))
    there = here.replace(b"99000000A", b"99000000B")
    systems = [one(convert_one(c), "Practitioner")["identifier"][0]["system"] for c in (here, there)]
    assert systems[0] != systems[1]


def test_no_two_resources_of_a_document_share_an_address() -> None:
    for name in CONVERTED:
        urls = [entry["fullUrl"] for entry in transaction(sample(name))["entry"]]
        assert all(one_ != other for one_, other in itertools.combinations(urls, 2))
