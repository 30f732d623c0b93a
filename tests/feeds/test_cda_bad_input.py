"""Broken, hostile and careless CDA: a clear problem with its place, the raw message kept, nothing half-written."""

import base64
from pathlib import Path

import pytest

from adapters.runner import Conversion
from tests.feeds.cases.cda_builder import (
    PATIENT,
    PEOPLE,
    SAMPLES,
    convert_one,
    document,
    observation,
    one,
    resources,
    sample,
    section,
    st,
    told,
    transaction,
)


def kept_raw_only(conversion: Conversion, content: bytes) -> None:
    """The transaction holds the exact bytes and what they are, and nothing else."""
    kinds = [entry["resource"]["resourceType"] for entry in transaction(conversion)["entry"]]
    assert kinds == ["Binary", "DocumentReference"]
    assert base64.b64decode(one(conversion, "Binary")["data"]) == content
    assert one(conversion, "DocumentReference")["meta"]["tag"][0]["code"] == "not-converted"


def test_xml_that_is_not_well_formed_is_kept_raw_with_line_and_column() -> None:
    name = "discharge_summary_not_well_formed.xml"
    conversion = sample(name)
    (problem,) = conversion.problems
    content = (SAMPLES / name).read_bytes()
    assert (problem.severity, problem.code) == ("fatal", "structure")
    assert problem.line is not None
    assert problem.column is not None
    line = content.decode().splitlines()[problem.line - 1]
    assert line[: problem.column - 1].endswith('"47.0100"')
    kept_raw_only(conversion, content)
    (reason,) = one(conversion, "DocumentReference")["extension"]
    places = {part["url"]: part.get("valueInteger") for part in reason["extension"]}
    assert (places["line"], places["column"]) == (problem.line, problem.column)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"<ClinicalDocument>", 1),
        (b"<ClinicalDocument>\n<id></ClinicalDocument>", 2),
        (b"<ClinicalDocument>\n\n<a:id/></ClinicalDocument>", 3),
        (b"<ClinicalDocument>\n&nope;</ClinicalDocument>", 2),
        (b'<? xml version="1.0"?>\n<ClinicalDocument/>', 1),
        (b"", 1),
    ],
)
def test_each_kind_of_broken_xml_names_its_line(content: bytes, line: int) -> None:
    conversion = convert_one(content)
    (problem,) = conversion.problems
    assert (problem.severity, problem.line) == ("fatal", line)
    assert problem.column is not None
    kept_raw_only(conversion, content)


def test_another_root_element_is_named() -> None:
    (problem,) = convert_one(b"<Patient/>").problems
    assert "Patient, not ClinicalDocument" in problem.text


def with_doctype(declared: str, body: bytes | None = None) -> bytes:
    content = body or document(section("30954-2", observation("DE04.10.258.00", st("&leak;"), "检查")))
    return content.replace(
        b"<ClinicalDocument ", f"<!DOCTYPE ClinicalDocument [{declared}]>\n<ClinicalDocument ".encode(), 1
    )


def test_an_external_entity_is_refused_and_its_file_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("TOP-SECRET-CONTENT")
    content = with_doctype(f'<!ENTITY leak SYSTEM "{secret.as_uri()}">')
    conversion = convert_one(content)
    (problem,) = conversion.problems
    assert (problem.severity, problem.code, problem.line, problem.column) == ("error", "security", 2, 1)
    assert "DOCTYPE" in problem.text
    kept_raw_only(conversion, content)
    assert "TOP-SECRET-CONTENT" not in str(conversion.transaction)


def test_an_entity_bomb_is_refused_before_it_is_read() -> None:
    bomb = "".join(f'<!ENTITY e{n} "&e{n - 1};&e{n - 1};&e{n - 1};&e{n - 1};">' for n in range(1, 40))
    content = with_doctype(f'<!ENTITY e0 "x">{bomb}<!ENTITY leak "&e39;">')
    (problem,) = convert_one(content).problems
    assert problem.code == "security"


@pytest.mark.parametrize("prefix", [b"<!-- a comment -->\n", b"<?target data?>\n", b"\n  "])
def test_a_doctype_behind_comments_is_refused_too(prefix: bytes) -> None:
    content = prefix + b'<!DOCTYPE ClinicalDocument SYSTEM "http://127.0.0.1:9/x.dtd">\n<ClinicalDocument/>'
    (problem,) = convert_one(content).problems
    assert problem.code == "security"


def test_markup_that_is_nested_too_deep_is_an_error_not_a_crash() -> None:
    deep = b"<ClinicalDocument>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</ClinicalDocument>"
    (problem,) = convert_one(deep).problems
    assert problem.severity == "fatal"


# -------------------------------------------------------------------------------------------------- charsets
@pytest.mark.parametrize("declared", ["GB18030", "GBK", "gb2312"])
def test_a_declared_chinese_charset_is_read(declared: str) -> None:
    content = document(section("30954-2", observation("DE04.10.258.00", st("血压稳定"), "检查"))).decode()
    encoded = content.replace('encoding="UTF-8"', f'encoding="{declared}"').encode("gbk")
    conversion = convert_one(encoded)
    assert one(conversion, "Patient")["name"][0]["text"] == "卢婉清"
    assert told(conversion, "warning") == []


def test_bytes_that_contradict_the_declaration_are_read_as_what_they_are_with_a_warning() -> None:
    content = document(section("30954-2")).decode()
    conversion = convert_one(content.encode("gb18030"))  # still declared UTF-8
    assert one(conversion, "Patient")["name"][0]["text"] == "卢婉清"
    (warning,) = told(conversion, "warning")
    assert "UTF-8" in warning.text
    assert "GB18030" in warning.text


def test_a_byte_order_mark_is_understood() -> None:
    content = document(section("30954-2"))
    assert one(convert_one(b"\xef\xbb\xbf" + content), "Patient")["name"][0]["text"] == "卢婉清"
    wide = content.decode().replace("UTF-8", "UTF-16").encode("utf-16")
    assert one(convert_one(wide), "Patient")["name"][0]["text"] == "卢婉清"


def test_bytes_of_no_charset_are_refused_rather_than_guessed() -> None:
    content = document(section("30954-2")).replace("卢婉清".encode(), b"\xff\xff\x81\x20\xff")
    conversion = convert_one(content)
    assert told(conversion, "fatal")[0].field == "encoding"
    kept_raw_only(conversion, content)


# ---------------------------------------------------------------------------------------------------- values
@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('birthTime value="19510314"', 'birthTime value="19510230"', "recordTarget/patientRole/patient/birthTime"),
        ('effectiveTime value="20240313101500"', 'effectiveTime value="20241313101500"', "effectiveTime"),
        ('time value="20240313"', 'time value="20240399"', "author/time"),
    ],
)
def test_an_impossible_date_is_an_error_with_line_and_element(old: str, new: str, field: str) -> None:
    content = document(section("30954-2")).decode().replace(old, new).encode()
    conversion = convert_one(content)
    (problem,) = told(conversion, "error")
    assert problem.field == field
    assert problem.line is not None
    assert new in content.decode().splitlines()[problem.line - 1]
    assert "is not a date" in problem.text
    kept_raw_only(conversion, content)


def test_an_impossible_date_in_an_entry_names_the_entry() -> None:
    wrong = observation("DE06.00.092.00", '<value xsi:type="TS" value="20240230"/>', "入院日期时间")
    conversion = convert_one(document(section("11535-2", wrong)))
    (problem,) = told(conversion, "error")
    assert problem.field == "component/structuredBody/component/section/entry/observation/value"
    assert "20240230" in problem.text


@pytest.mark.parametrize("zeros", ["000000000000", "00000000", "", "-"])
def test_a_date_that_was_never_filled_in_is_no_error(zeros: str) -> None:
    content = document(section("30954-2")).decode().replace('time value="20240313"', f'time value="{zeros}"').encode()
    assert told(convert_one(content), "error") == []


def test_a_failing_identity_checksum_is_a_warning_and_never_decides_who_it_is() -> None:
    patient = PATIENT.replace("370102195103140028", "370102195103140021")
    conversion = convert_one(document(section("30954-2"), patient=patient))
    (warning,) = told(conversion, "warning")
    assert "checksum" in warning.text
    assert warning.field == "recordTarget/patientRole/patient/id"
    (entry,) = [e for e in transaction(conversion)["entry"] if e["resource"]["resourceType"] == "Patient"]
    assert "370102195103140021" in {i["value"] for i in entry["resource"]["identifier"]}
    assert "370102195103140021" not in entry["request"]["ifNoneExist"]


@pytest.mark.parametrize("placeholder", ["-", "/", "无", "NA", "患者ID", "ID_CARD_NO", "身份证号码"])
def test_a_placeholder_is_not_an_identifier(placeholder: str) -> None:
    patient = PATIENT.replace("370102195103140028", placeholder)
    numbers = one(convert_one(document(section("30954-2"), patient=patient)), "Patient")["identifier"]
    assert {number["value"] for number in numbers} == {"ZY001"}


@pytest.mark.parametrize("placeholder", ["XXX医院", "xx医院", "-", "无", "医疗机构名称"])
def test_a_placeholder_is_not_the_name_of_a_hospital(placeholder: str) -> None:
    content = document(section("30954-2")).decode().replace("泉城区第一人民医院", placeholder).encode()
    assert "name" not in one(convert_one(content), "Organization")


def test_a_staff_number_that_is_a_placeholder_makes_no_shared_practitioner() -> None:
    content = document(section("30954-2")).decode().replace('extension="30417"', 'extension="医务人员编码"').encode()
    conversion = convert_one(content)
    (entry,) = [e for e in transaction(conversion)["entry"] if e["resource"]["resourceType"] == "Practitioner"]
    assert entry["request"]["method"] == "PUT"
    assert "identifier" not in entry["resource"]


def test_a_stay_that_ends_before_it_begins_keeps_both_times_and_no_period() -> None:
    start = observation("DE06.00.092.00", '<value xsi:type="TS" value="20240607"/>', "入院日期时间")
    end = observation("DE06.00.017.00", '<value xsi:type="TS" value="20240111"/>', "出院日期时间")
    conversion = convert_one(document(section("11535-2", start), section("11535-2", end)))
    assert "period" not in one(conversion, "Encounter")
    assert "before it begins" in told(conversion, "warning")[0].text
    values = {r.get("valueDateTime") for r in resources(conversion, "Observation")}
    assert values == {"2024-06-07", "2024-01-11"}


def test_a_negated_statement_is_never_stated_as_a_fact() -> None:
    denied = observation("DE04.10.258.00", st("胸痛"), "症状").replace(
        "<observation", '<observation negationInd="true"'
    )
    conversion = convert_one(document(section("30954-2", denied)))
    assert resources(conversion, "Observation") == []
    assert "（否定）" in one(conversion, "Composition")["section"][0]["text"]["div"]
    assert "negated" in told(conversion, "warning")[0].text


def test_a_drug_entry_without_a_drug_is_a_warning() -> None:
    empty = '<substanceAdministration><doseQuantity value="1" unit="g"/></substanceAdministration>'
    conversion = convert_one(document(section("10160-0", empty)))
    assert resources(conversion, "MedicationStatement") == []
    assert "names no drug" in told(conversion, "warning")[0].text


# ------------------------------------------------------------------------------------------ missing parts
def test_a_referral_without_a_receiving_institution_is_refused_with_its_place() -> None:
    content = (SAMPLES / "referral_a0003.xml").read_text(encoding="utf-8")
    start, end = content.index("<asOrganizationPartOf>"), content.index("</asOrganizationPartOf>")
    conversion = convert_one((content[:start] + content[end + len("</asOrganizationPartOf>") :]).encode())
    # the department alone may be any hospital's
    (problem,) = told(conversion, "error")
    assert "receiving institution" in problem.text
    assert "DE08.10.013.00" in problem.text
    assert problem.line is not None
    assert "performer" not in str(conversion.transaction)


def test_a_referral_without_its_section_is_refused() -> None:
    conversion = convert_one(document(section("10164-2", text="现病史"), code="A0003", title="转诊记录"))
    assert "转诊建议" in told(conversion, "error")[0].text


def test_a_document_without_a_patient_is_refused() -> None:
    content = document(section("30954-2"), patient="")
    conversion = convert_one(content)
    assert "recordTarget" in told(conversion, "error")[0].text
    kept_raw_only(conversion, content)


def test_a_document_without_any_time_is_refused() -> None:
    content = document(section("30954-2")).decode()
    content = content.replace('<effectiveTime value="20240313101500"/>', "").replace('<time value="20240313"/>', "")
    assert "effectiveTime" in told(convert_one(content.encode()), "error")[0].text


def test_the_authors_time_stands_in_for_a_missing_document_time_with_a_warning() -> None:
    content = document(section("30954-2")).decode().replace('<effectiveTime value="20240313101500"/>', "")
    conversion = convert_one(content.encode())
    assert one(conversion, "Composition")["date"] == "2024-03-13"
    assert one(conversion, "Bundle")["timestamp"] == "2024-03-13T00:00:00+08:00"
    assert "effectiveTime" in told(conversion, "warning")[0].text


def test_a_document_without_author_and_custodian_is_refused() -> None:
    content = document(section("30954-2")).decode().replace(PEOPLE, "")
    assert "neither an author nor a custodian" in told(convert_one(content.encode()), "error")[0].text


def test_a_document_without_an_id_is_converted_with_a_warning() -> None:
    content = document(section("30954-2")).decode().replace('extension="DOC-1"', 'extension=""')
    conversion = convert_one(content.encode())
    assert "no id" in told(conversion, "warning")[0].text
    assert one(conversion, "Bundle")["identifier"]["value"].startswith("urn:uuid:")


def test_an_unknown_confidentiality_is_taken_as_restricted() -> None:
    content = (
        document(section("30954-2")).decode().replace('confidentialityCode code="N"', 'confidentialityCode code="Z"')
    )
    conversion = convert_one(content.encode())
    assert one(conversion, "Composition")["confidentiality"] == "R"
    assert told(conversion, "warning")[0].code == "code-invalid"


def test_an_unknown_sex_is_a_warning_that_keeps_the_code() -> None:
    patient = PATIENT.replace('administrativeGenderCode code="2"', 'administrativeGenderCode code="7"')
    conversion = convert_one(document(section("30954-2"), patient=patient))
    assert "gender" not in one(conversion, "Patient")
    assert "7" in told(conversion, "warning")[0].text
