"""HL7 v2 rules that the golden messages do not show: moved visits, shared specimens, goals, Chinese habits."""

import json

import pytest
from fhir.resources.R4B import get_fhir_model_class

from adapters.contract import Mapped, Resource
from adapters.hl7v2 import ADAPTER
from adapters.kit.resource import id_of
from adapters.wire import to_json

PID = "PID|1||700^^^^PatientNO||测试某"


def mapped(kind: str, *segments: str) -> Mapped:
    header = f"MSH|^~\\&|HIS|QH|||20240101080000||{kind}|M1|P|2.5"
    (parsed,) = ADAPTER.parse("\r".join([header, *segments]).encode(), "")
    result = ADAPTER.map(parsed.record)
    assert [problem for problem in result.problems if problem.severity in ("error", "fatal")] == []
    for item in result.items:
        plain = json.loads(to_json(item.resource))
        get_fhir_model_class(plain["resourceType"]).model_validate(plain)
    return result


def of(result: Mapped, type: str) -> list[Resource]:
    return [item.resource for item in result.items if item.resource["resourceType"] == type]


def one(result: Mapped, type: str) -> Resource:
    (found,) = of(result, type)
    return found


def url(result: Mapped, resource: Resource) -> str:
    return next(f"urn:uuid:{id_of(item.key)}" for item in result.items if item.resource is resource)


# ------------------------------------------------------------------------------------------ persons and visits
def test_a_moved_visit_belongs_to_the_patient_it_is_moved_to() -> None:
    result = mapped("ADT^A45", "EVN|A45", PID, "MRG|900^^^^PatientNO", "PV1||I|||||||||||||||||V1")
    (item,) = [item for item in result.items if item.resource["resourceType"] == "Encounter"]
    assert item.mode == "refreshed"
    assert item.resource["subject"]["reference"] == url(result, one(result, "Patient"))


def test_a_deleted_person_is_inactive() -> None:
    assert one(mapped("ADT^A29", "EVN|A29", PID), "Patient")["active"] is False


def test_a_merged_account_stays_an_old_identifier_and_links_nobody() -> None:
    patient = one(mapped("ADT^A41", "EVN|A41", f"{PID}|||||||||||||ACC1", "MRG|||ACC0"), "Patient")
    assert [(i.get("use"), i["value"]) for i in patient["identifier"]] == [
        (None, "700"),
        (None, "ACC1"),
        ("old", "ACC0"),
    ]
    assert "link" not in patient


@pytest.mark.parametrize(
    ("written", "coding"),
    [
        ("1^汉族", {"code": "1", "display": "汉族"}),
        ("HA^汉族", {"code": "HA", "display": "汉族"}),
        ("^汉族^1", {"code": "1", "display": "汉族"}),
        ("^^汉族", {"display": "汉族"}),
    ],
)
def test_an_ethnic_group_is_read_in_the_ways_it_is_written(written: str, coding: dict[str, str]) -> None:
    patient = one(mapped("ADT^A31", PID + "|" * 17 + written), "Patient")
    found = patient["extension"][0]["valueCoding"]
    assert {name: found[name] for name in found if name != "system"} == coding


def test_the_mother_and_the_guarantor_are_related_persons() -> None:
    result = mapped("ADT^A04", PID + "|" * 16 + "800^^^^PatientNO", "GT1|1||白^山||某路||||||FTH")
    assert [person["relationship"][0]["coding"][0]["code"] for person in of(result, "RelatedPerson")] == ["MTH", "GUAR"]


# ------------------------------------------------------------------------------------------- orders and results
def test_one_specimen_serves_the_orders_that_stand_under_it() -> None:
    order = ["OBR|1|A{n}||T{n}^检验|||20240101||||||||||||||||||F", "OBX|1|NM|X{n}^项目||{n}||||||F"]
    segments = [line.replace("{n}", str(n)) for n in (1, 2) for line in order]
    result = mapped("OUL^R22", PID, "SPM|1|S1||BLD^血", *segments, "SPM|2|S2||UR^尿", "OBR|1|A3||T3^检验")
    first, second = of(result, "Specimen")
    reports = of(result, "DiagnosticReport")
    assert [report["specimen"][0]["reference"] for report in reports] == [
        url(result, s) for s in (first, first, second)
    ]
    assert [len(report.get("result", [])) for report in reports] == [1, 1, 0]


def test_every_patient_of_a_message_has_its_own_results() -> None:
    other = PID.replace("700", "701")
    result = mapped("ORU^R01", PID, "OBR|1|A1||T", "OBX|1|ST|X||a||||||F", other, "OBR|1|A2||T", "OBX|1|ST|X||b||||||F")
    subjects = [found["subject"]["reference"] for found in of(result, "Observation")]
    assert subjects == [url(result, patient) for patient in of(result, "Patient")]
    assert len(set(subjects)) == 2


def test_an_administration_has_its_dose_time_and_status() -> None:
    segment = "RXA|0|1|20240101080000||D^药^99|5|mL^^UCUM|||N1^某护士" + "|" * 10 + "NA"
    result = mapped("RAS^O17", PID, "ORC|RE|R1", segment, "RXR|IV^静脉")
    given = one(result, "MedicationAdministration")
    assert (given["status"], given["effectiveDateTime"]) == ("not-done", "2024-01-01T08:00:00+08:00")
    assert (given["dosage"]["dose"]["value"], given["dosage"]["route"]["text"]) == (5, "静脉")


def test_an_order_of_several_drugs_has_its_components() -> None:
    segments = [
        "ORC|NW|R1",
        "RXO|TPN^营养液^99|1||袋",
        "RXC|A|GLU^葡萄糖^99|100|mL^^UCUM",
        "RXC|B|H2O^水^99|500|mL^^UCUM",
    ]
    result = mapped("OMP^O09", PID, *segments)
    drug = one(result, "Medication")
    assert [part["itemCodeableConcept"]["text"] for part in drug["ingredient"]] == ["葡萄糖", "水"]
    assert [part["isActive"] for part in drug["ingredient"]] == [True, False]
    assert one(result, "MedicationRequest")["medicationReference"]["reference"] == url(result, drug)


def test_a_goal_addresses_the_problem_it_stands_under() -> None:
    result = mapped("PPR^PC1", PID, "PRB|AD||I10^高血压|P1", "GOL|AD||BP^血压达标|G1|||20240101|20240701")
    goal = one(result, "Goal")
    assert (goal["lifecycleStatus"], goal["startDate"]) == ("active", "2024-01-01")
    assert goal["target"] == [{"dueDate": "2024-07-01"}]
    assert goal["addresses"][0]["reference"] == url(result, one(result, "Condition"))


def test_a_detailed_allergy_keeps_its_number_and_says_when_it_is_deleted() -> None:
    kept, deleted = (
        one(
            mapped("ADT^A60", PID, f"IAM|1|DA|PEN^青霉素|SV|皮疹|{action}|I77||||||20240101||||C"), "AllergyIntolerance"
        )
        for action in ("A", "D")
    )
    assert (kept["identifier"][0]["value"], kept["clinicalStatus"]["coding"][0]["code"]) == ("I77", "active")
    assert deleted["verificationStatus"]["coding"][0]["code"] == "entered-in-error"
    assert "clinicalStatus" not in deleted


def test_an_unknown_order_control_waits_for_review() -> None:
    result = mapped("ORM^O01", PID, "ORC|QQ|A1", "OBR|1|A1||T^检查")
    assert [(p.severity, p.code, p.field) for p in result.problems if p.code == "review"] == [
        ("warning", "review", "ORC-1")
    ]


def test_a_report_of_three_thousand_results_keeps_them_all() -> None:
    lines = [f"OBX|{n}|NM|X{n}^项目||{n}||||||F|||20240101||||||||||检验科" for n in range(3000)]
    header = "MSH|^~\\&|HIS|QH|||||ORU^R01|M1|P|2.5"
    (parsed,) = ADAPTER.parse("\r".join([header, PID, "OBR|1|A1||T^检查", *lines]).encode(), "")
    assert len(one(ADAPTER.map(parsed.record), "DiagnosticReport")["result"]) == 3000
