"""The regional adapter: what each layout becomes in FHIR. Messages are the project's own synthetic samples."""

import base64
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from adapters.kit.resource import id_of
from adapters.kit.transaction import transaction as kit_transaction
from adapters.regional_json import ADAPTER
from adapters.runner import Conversion, convert

SAMPLES = Path(kit_transaction.__code__.co_filename).parents[1] / "samples" / "regional"
RECORDED = "2026-03-15T00:00:00Z"
Resource = dict[str, Any]


def conversions(name: str) -> list[Conversion]:
    return convert((SAMPLES / name).read_bytes(), name, ADAPTER, RECORDED)


def resources(conversion: Conversion, type: str) -> list[Resource]:
    found = [entry["resource"] for entry in conversion.transaction["entry"]]
    return [resource for resource in found if resource["resourceType"] == type]


def one(conversion: Conversion, type: str) -> Resource:
    (found,) = resources(conversion, type)
    return found


def counts(conversion: Conversion) -> Counter[str]:
    return Counter(entry["resource"]["resourceType"] for entry in conversion.transaction["entry"])


def target(conversion: Conversion, reference: Resource) -> Resource:
    (found,) = [e["resource"] for e in conversion.transaction["entry"] if e["fullUrl"] == reference["reference"]]
    return found


KEPT = {"Binary": 1, "DocumentReference": 1, "Provenance": 1}

COUNTS = {
    "treatment_referral.gb18030.csv": [
        {
            "Patient": 1,
            "Organization": 4,
            "Practitioner": 2,
            "Condition": 1,
            "ServiceRequest": 1,
            "Task": 1,
            "CarePlan": 1,
        },
        {"Patient": 1, "Organization": 4, "Practitioner": 1, "Condition": 1, "ServiceRequest": 1, "Task": 1},
    ],
    "treatment_referral_cancelled.json": [
        {"Patient": 1, "Organization": 4, "Practitioner": 1, "ServiceRequest": 1, "Task": 1}
    ],
    "outpatient_referral.json": [{"Patient": 1, "Organization": 4, "ServiceRequest": 1, "Task": 1}],
    "inpatient_referral.json": [
        {
            "Patient": 1,
            "Organization": 4,
            "Practitioner": 2,
            "Condition": 1,
            "ServiceRequest": 1,
            "Task": 1,
            "CarePlan": 1,
        }
    ],
    "bsoft_up_referral.json": [
        {
            "Patient": 1,
            "Organization": 3,
            "Practitioner": 2,
            "Condition": 1,
            "ServiceRequest": 1,
            "Task": 1,
            "CarePlan": 1,
        }
    ],
    "bsoft_return_report.json": [
        {"Patient": 1, "Organization": 2, "Practitioner": 1, "ServiceRequest": 1, "Task": 1, "CarePlan": 1}
    ],
}


@pytest.mark.parametrize("name", COUNTS)
def test_each_message_of_a_layout_becomes_its_resources(name: str) -> None:
    found = [counts(conversion) for conversion in conversions(name)]
    assert found == [Counter({**expected, **KEPT}) for expected in COUNTS[name]]


def test_every_sample_has_its_counts_listed() -> None:
    failing = {"treatment_referral_without_receiver.csv"}
    assert {path.name for path in SAMPLES.iterdir()} == set(COUNTS) | failing


@pytest.mark.parametrize("name", COUNTS)
def test_every_resource_is_structurally_valid(name: str) -> None:
    for conversion in conversions(name):
        for entry in conversion.transaction["entry"]:
            resource = entry["resource"]
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.mark.parametrize("name", COUNTS)
def test_every_reference_inside_the_bundle_resolves(name: str) -> None:
    for conversion in conversions(name):
        full_urls = {entry["fullUrl"] for entry in conversion.transaction["entry"]}
        text = json.dumps(conversion.transaction)
        used = {f"urn:uuid:{part[:36]}" for part in text.split('"reference": "urn:uuid:')[1:]}
        assert used and used <= full_urls


@pytest.mark.parametrize("name", [*COUNTS, "treatment_referral_without_receiver.csv"])
def test_the_same_bytes_give_the_same_transaction(name: str) -> None:
    first, second = conversions(name), conversions(name)
    assert [c.transaction for c in first] == [c.transaction for c in second]


@pytest.mark.parametrize("name", COUNTS)
def test_every_source_element_has_a_trace_to_a_column_of_the_message(name: str) -> None:
    for conversion in conversions(name):
        assert conversion.mapped is not None and conversion.parsed.record is not None
        cells = conversion.parsed.record.cells
        for trace in conversion.mapped.trace:
            for column in trace.field.split(", "):
                assert column in cells, trace
            assert trace.line is None or trace.line in {cell.line for cell in cells.values()}
        traced = {(trace.key, trace.element.split(".")[1].split("[")[0]) for trace in conversion.mapped.trace}
        made_by_rule = {
            "intent",
            "code",
            "category",
            "resourceType",
            "type",
            "for",
            "focus",
            "subject",
            "title",
            "author",
            "reasonReference",
            "supportingInfo",
            "addresses",
            "recorder",
            "requester",
            "performer",
            "status",
        }
        for item in conversion.mapped.items:
            for element in set(item.resource) - made_by_rule:
                assert (item.key, element) in traced, (item.key, element)


# --------------------------------------------------------------------------------------- supervision platform
def test_a_row_of_the_supervision_platform_is_a_referral_between_two_institutions() -> None:
    conversion = conversions("treatment_referral.gb18030.csv")[0]
    request = one(conversion, "ServiceRequest")
    assert request["identifier"] == [{"system": "urn:tiercare:source:DEMO4299000001:referral", "value": "DEMOZZ0001"}]
    assert (request["status"], request["intent"], request["authoredOn"]) == (
        "active",
        "order",
        "2026-03-10T09:05:00+08:00",
    )
    assert request["category"][0]["text"] == "双向转诊"
    assert request["reasonCode"] == [{"text": "连续两次随访血压控制不满意"}]
    receiver = target(conversion, request["performer"][0])
    assert (receiver["name"], receiver["identifier"][0]["value"]) == ("示例市第一人民医院", "DEMO4299000900")
    department = target(conversion, request["performer"][1])
    assert department["name"] == "心血管内科" and target(conversion, department["partOf"]) == receiver
    assert target(conversion, request["requester"])["name"][0]["text"] == "陆文清"
    patient = target(conversion, request["subject"])
    assert patient["identifier"][0]["system"] == "urn:oid:2.16.156.10011.1.3"
    assert (patient["gender"], patient["birthDate"]) == ("male", "1956-03-14")
    assert {"text": "治疗经过：氨氯地平片5mg每日一次，\n服用8周；血压162/98mmHg"} in request["note"]
    history = target(conversion, request["supportingInfo"][0])
    assert (history["resourceType"], history["code"]["text"]) == ("Condition", "高血压病12年")


def test_the_next_treatment_and_rehabilitation_advice_is_a_care_plan() -> None:
    conversion = conversions("treatment_referral.gb18030.csv")[0]
    plan, request = one(conversion, "CarePlan"), one(conversion, "ServiceRequest")
    assert (plan["status"], plan["intent"]) == ("active", "plan")
    assert "社区每两周随访一次" in plan["activity"][0]["detail"]["description"]
    assert target(conversion, plan["supportingInfo"][0]) == request


def test_the_task_is_owned_by_the_receiving_institution() -> None:
    conversion = conversions("treatment_referral.gb18030.csv")[0]
    task = one(conversion, "Task")
    assert (task["status"], task["businessStatus"]["text"]) == ("requested", "正常")
    assert target(conversion, task["focus"])["resourceType"] == "ServiceRequest"
    assert target(conversion, task["owner"])["identifier"][0]["value"] == "DEMO4299000900"
    assert target(conversion, task["requester"])["identifier"][0]["value"] == "DEMO4299000001"


def test_a_cancelled_referral_is_revoked_and_its_task_cancelled() -> None:
    (conversion,) = conversions("treatment_referral_cancelled.json")
    assert one(conversion, "ServiceRequest")["status"] == "revoked"
    assert (one(conversion, "Task")["status"], one(conversion, "Task")["businessStatus"]["text"]) == (
        "cancelled",
        "撤销",
    )


# --------------------------------------------------------------------------------------------- regional store
def test_both_spellings_of_the_regional_store_name_their_institutions() -> None:
    (out,), (inpatient,) = conversions("outpatient_referral.json"), conversions("inpatient_referral.json")
    for conversion, sender, receiver in (
        (out, "示例县柳树乡卫生院", "示例市第一人民医院"),
        (inpatient, "示例市第一人民医院", "示例市康复医院"),
    ):
        task = one(conversion, "Task")
        assert target(conversion, task["requester"])["name"] == sender
        assert target(conversion, task["owner"])["name"] == receiver


def test_a_transfer_that_took_place_is_an_accepted_task() -> None:
    (conversion,) = conversions("inpatient_referral.json")
    task = one(conversion, "Task")
    assert (task["status"], task["executionPeriod"]) == ("accepted", {"start": "2026-03-09"})


def test_treatment_and_rehabilitation_columns_are_two_activities_of_one_plan() -> None:
    (conversion,) = conversions("inpatient_referral.json")
    details = [activity["detail"] for activity in one(conversion, "CarePlan")["activity"]]
    assert [detail["code"]["text"] for detail in details] == ["治疗方案", "康复措施指导"]


@pytest.mark.parametrize(
    ("flags", "status", "task"),
    [
        ({"STATUS_CODE": "1"}, "entered-in-error", "entered-in-error"),
        ({"EFFECTIVE": "0"}, "revoked", "cancelled"),
        ({"STATUS_CODE": "1", "EFFECTIVE": "0"}, "entered-in-error", "entered-in-error"),
        ({}, "active", "accepted"),
    ],
)
def test_the_gravest_flag_decides_the_status(flags: dict[str, str], status: str, task: str) -> None:
    row = json.loads((SAMPLES / "inpatient_referral.json").read_text("utf-8"))["INPATIENT_REFERRAL"][0] | flags
    (conversion,) = convert(json.dumps(row).encode(), "x.json", ADAPTER, RECORDED)
    assert (one(conversion, "ServiceRequest")["status"], one(conversion, "Task")["status"]) == (status, task)
    plan = one(conversion, "CarePlan")["status"]
    assert plan == ("active" if status == "active" else status)


# ------------------------------------------------------------------------------------------------------ BSoft
def test_a_return_report_points_to_the_up_referral_of_the_same_number() -> None:
    (up,), (down,) = conversions("bsoft_up_referral.json"), conversions("bsoft_return_report.json")
    referral, report = one(up, "ServiceRequest"), one(down, "ServiceRequest")
    (based_on,) = report["basedOn"]
    assert based_on["reference"] == f"ServiceRequest/{referral['id']}"
    assert based_on["identifier"] == referral["identifier"][0]
    assert referral["id"] == id_of("bsoft-dr|DR_Referrals|2026017")
    assert [c["coding"][0]["code"] for c in (referral["category"][1], report["category"][1])] == ["up", "down"]
    plan = one(down, "CarePlan")
    assert {"reference": f"ServiceRequest/{referral['id']}"} in plan["supportingInfo"]
    assert target(up, referral["subject"])["identifier"] == target(down, report["subject"])["identifier"]


def test_a_return_report_without_its_own_number_is_known_by_the_one_it_answers() -> None:
    row = json.loads((SAMPLES / "bsoft_return_report.json").read_text("utf-8"))
    del row["exchangeNo"]
    (conversion,) = convert(json.dumps(row).encode(), "", ADAPTER, RECORDED)
    report = one(conversion, "ServiceRequest")
    assert "identifier" not in report and report["requisition"]["value"] == "2026017"


def test_a_refused_referral_is_a_rejected_task_with_the_reason() -> None:
    row = json.loads((SAMPLES / "bsoft_up_referral.json").read_text("utf-8")) | {"refuseReason": "骨科无床位"}
    (conversion,) = convert(json.dumps(row).encode(), "", ADAPTER, RECORDED)
    task = one(conversion, "Task")
    assert (task["status"], task["statusReason"]) == ("rejected", {"text": "骨科无床位"})


def test_people_met_twice_are_written_once() -> None:
    row = json.loads((SAMPLES / "bsoft_up_referral.json").read_text("utf-8")) | {"hospitalCode": "DEMO0011"}
    (conversion,) = convert(json.dumps(row).encode(), "", ADAPTER, RECORDED)
    full_urls = [entry["fullUrl"] for entry in conversion.transaction["entry"]]
    assert len(full_urls) == len(set(full_urls))
    assert counts(conversion)["Organization"] == 2


# ------------------------------------------------------------------------------------------------ raw message
def test_the_raw_message_of_a_csv_row_is_the_header_line_and_the_row_as_they_were() -> None:
    content = (SAMPLES / "treatment_referral.gb18030.csv").read_bytes()
    header, _, rest = content.partition(b"\r\n")
    for conversion in conversions("treatment_referral.gb18030.csv"):
        raw = base64.b64decode(one(conversion, "Binary")["data"])
        assert raw.startswith(header + b"\r\n")
        assert raw.removeprefix(header + b"\r\n") in rest


def test_a_row_cut_out_of_a_file_reads_the_same_alone() -> None:
    for conversion in conversions("treatment_referral.gb18030.csv"):
        (again,) = convert(conversion.parsed.raw, "row.csv", ADAPTER, RECORDED)
        assert again.transaction == conversion.transaction


def test_the_raw_message_of_a_json_object_is_its_bytes_as_they_were() -> None:
    first, second = '{ "jgdm" : "A","zzjlid":"1", "nls": 1.00 }', '{"zzjlid":"2","jgdm":"珅"}'
    for charset in ("utf-8", "gb18030"):
        content = f"[\n{first} ,\n {second}]".encode(charset)
        found = [(parsed.raw, parsed.line) for parsed in ADAPTER.parse(content, "")]
        assert found == [(first.encode(charset), 2), (second.encode(charset), 3)]


# --------------------------------------------------------------------------------------- real column headings
def test_the_sample_of_real_columns_becomes_its_resources() -> None:
    folder = os.environ.get("TIERCARE_SAMPLES")
    if not folder:
        pytest.skip("1 message not tested: TIERCARE_SAMPLES names no folder of samples")
    content = (Path(folder) / "referral" / "treatment_referral.gb18030.csv").read_bytes()
    (conversion,) = convert(content, "treatment_referral.gb18030.csv", ADAPTER, RECORDED)
    expected = {"Patient": 1, "Organization": 4, "Practitioner": 1, "Condition": 1, "ServiceRequest": 1, "Task": 1}
    assert counts(conversion) == Counter({**expected, **KEPT})
    assert [p.field for p in conversion.problems] == ["tbrqsj"]
    for entry in conversion.transaction["entry"]:
        get_fhir_model_class(entry["resource"]["resourceType"]).model_validate(entry["resource"])


def test_every_column_of_the_real_tables_is_in_a_layout_table() -> None:
    folder = os.environ.get("TIERCARE_SAMPLES")
    if not folder:
        pytest.skip("3 tables not tested: TIERCARE_SAMPLES names no folder of samples")
    from adapters.kit.codes import table

    store = json.loads((Path(folder) / "referral" / "quanxi__regional_referral_columns.json").read_text("utf-8"))
    ddl = (Path(folder) / "referral" / "iclinic__treatment_referral.sql").read_text("utf-8")
    store["treatment_referral"] = [line.split("`")[1] for line in ddl.splitlines() if line.startswith("  `")]
    for layout, columns in store.items():
        assert set(columns) == set(table("adapters.regional_json", layout)), layout
