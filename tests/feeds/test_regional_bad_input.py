"""The regional adapter and what is wrong with a message: said with line and column, nothing half-written."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.contract import Problem
from adapters.regional_json import ADAPTER
from adapters.runner import Conversion, convert

GOOD: dict[str, Any] = {
    "jgdm": "DEMO1",
    "zzjlid": "R1",
    "kh": "429900195603140175",
    "klx": "01",
    "xm": "周晓岚",
    "xbdm": "1",
    "csrq": "1956-03-14",
    "zzyy": "血压控制不满意",
    "zzsj": "2026-03-10 09:05:00",
    "zxjgdm": "DEMO9",
    "zxjgmc": "示例医院",
    "cxbz": "1",
}


def of_json(**changes: Any) -> Conversion:
    """The conversion of a good message, one key a line, with these changes."""
    (conversion,) = convert(json.dumps(GOOD | changes, indent=1).encode(), "x.json", ADAPTER, "2026-01-01T00:00:00Z")
    return conversion


def of_csv(*rows: dict[str, Any], encoding: str = "utf-8") -> list[Conversion]:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(GOOD), lineterminator="\n")
    writer.writeheader()
    writer.writerows(GOOD | row for row in rows)
    return convert(text.getvalue().encode(encoding), "x.csv", ADAPTER, "2026-01-01T00:00:00Z")


def the(conversion: Conversion, severity: str) -> Problem:
    (found,) = [problem for problem in conversion.problems if problem.severity == severity]
    return found


def types(conversion: Conversion) -> list[str]:
    return [entry["resource"]["resourceType"] for entry in conversion.transaction["entry"]]


def test_a_good_message_has_no_problem() -> None:
    assert of_json().problems == []


def test_a_referral_without_receiving_institution_is_an_error_naming_line_and_columns() -> None:
    first, second = of_csv({}, {"zzjlid": "R2", "zxjgdm": "", "zxjgmc": "-"})
    problem = the(second, "error")
    assert (problem.line, problem.field, problem.code) == (3, "zxjgdm, zxjgmc", "required")
    assert "receiving institution" in problem.text
    assert not first.failed and types(second) == ["Binary", "DocumentReference"]


@pytest.mark.parametrize("column", ["zzsj", "csrq", "jzrqsj", "sjscsj"])
def test_an_impossible_date_is_an_error_naming_line_and_column(column: str) -> None:
    conversion = of_json(**{column: "2026-02-30"})
    problem = the(conversion, "error")
    assert (problem.field, problem.text) == (column, "2026-02-30 is not a date")
    keys = list(GOOD | {column: ""})
    assert problem.line == keys.index(column) + 2
    assert types(conversion) == ["Binary", "DocumentReference"]


def test_a_failing_identity_checksum_is_a_warning() -> None:
    conversion = of_json(kh="429900195603140170")
    problem = the(conversion, "warning")
    assert (problem.field, problem.line) == ("kh", 4) and "checksum" in problem.text
    assert "Patient" in types(conversion) and not conversion.failed


def test_a_date_of_birth_that_differs_from_the_identity_number_is_a_warning() -> None:
    assert "identity number" in the(of_json(csrq="1956-03-15"), "warning").text


def test_a_card_with_another_identity_number_is_a_card_and_a_warning() -> None:
    row = {"reserveNo": "1", "ZZRQ": "2026-03-10", "hospitalCode": "H", "idCard": "429900195603140175"}
    row["cardNo"] = "429900194811020288"
    (conversion,) = convert(json.dumps(row).encode(), "", ADAPTER, "2026-01-01T00:00:00Z")
    assert (the(conversion, "warning").field, the(conversion, "warning").code) == ("cardNo", "conflict")
    patient = next(e["resource"] for e in conversion.transaction["entry"] if e["resource"]["resourceType"] == "Patient")
    assert [identifier["system"] for identifier in patient["identifier"]] == [
        "urn:oid:2.16.156.10011.1.3",
        "urn:tiercare:source:bsoft-dr:card",
    ]


def test_an_unknown_code_is_kept_as_text_with_a_warning() -> None:
    conversion = of_json(cxbz="7")
    problem = the(conversion, "warning")
    assert (problem.field, problem.code) == ("cxbz", "code-invalid")
    task = next(e["resource"] for e in conversion.transaction["entry"] if e["resource"]["resourceType"] == "Task")
    assert task["businessStatus"]["text"] == "撤销标志 7"
    assert task["businessStatus"]["coding"][0]["code"] == "7"


def test_an_unknown_sex_is_left_out_with_a_warning() -> None:
    conversion = of_json(xbdm="X")
    assert the(conversion, "warning").field == "xbdm"
    patient = next(e["resource"] for e in conversion.transaction["entry"] if e["resource"]["resourceType"] == "Patient")
    assert "gender" not in patient


def test_a_column_that_no_rule_reads_is_listed_as_unmapped() -> None:
    problem = the(of_json(yl1="预留"), "information")
    assert (problem.code, problem.field, problem.line) == ("unmapped", "yl1", len(GOOD) + 2)


def test_a_cell_as_long_as_its_column_may_have_been_cut() -> None:
    assert the(of_json(zzyy="痛" * 100), "warning").code == "incomplete"
    assert of_json(zzyy="痛" * 99).problems == []


@pytest.mark.parametrize(("missing", "field"), [("jgdm", "jgdm"), ("zzjlid", "zzjlid"), ("kh", "kh")])
def test_what_a_referral_cannot_be_without_is_an_error(missing: str, field: str) -> None:
    problem = the(of_json(**{missing: None}), "error")
    assert problem.code == "required" and field in problem.field


@pytest.mark.parametrize("column", ["zzyy", "jgdm", "zzjlid", "zxjgmc"])
def test_control_characters_never_reach_a_resource(column: str) -> None:
    conversion = of_json(**{column: "胸\u0000闷\ud800"})
    assert "control characters" in the(conversion, "warning").text
    assert "\\u0000" not in json.dumps(conversion.transaction["entry"][2:])
    json.dumps(conversion.transaction, ensure_ascii=False).encode()


# ----------------------------------------------------------------------------------------------------- files
def fatal(content: bytes, name: str = "x.json") -> tuple[Problem, list[Conversion]]:
    """The first fatal problem of a content, and all its conversions."""
    found = convert(content, name, ADAPTER, "2026-01-01T00:00:00Z")
    return next(p for c in found for p in c.problems if p.severity == "fatal"), found


def test_a_layout_nobody_knows_is_a_problem_that_lists_the_keys() -> None:
    problem, (conversion,) = fatal(b'{"resourceType": "Patient", "id": "1"}')
    assert "resourceType, id" in problem.text and "treatment_referral" in problem.text
    assert types(conversion) == ["Binary", "DocumentReference"]


def test_broken_json_is_a_problem_with_line_and_column() -> None:
    problem, _ = fatal(b'{"jgdm": "A",\n "zzjlid" "1"}')
    assert (problem.line, problem.column) == (2, 11)


def test_objects_before_a_syntax_error_are_still_messages() -> None:
    good = json.dumps(GOOD, ensure_ascii=False)
    problem, (first, second) = fatal(f"[{good},\n{{oops]".encode())
    assert not first.failed and first.parsed.raw == good.encode()
    assert second.parsed.record is None and problem.line == 2
    assert second.parsed.raw.endswith(b"{oops]")


@pytest.mark.parametrize("content", [b"[]", b'{"treatment_referral": []}', b"jgdm,zzjlid\n", b"\n\n"])
def test_a_file_without_a_referral_is_a_problem(content: bytes) -> None:
    problem, _ = fatal(content)
    assert problem.text


def test_an_element_that_is_no_object_is_a_problem_of_its_own() -> None:
    problem, (first, second) = fatal(f"[7, {json.dumps(GOOD)}]".encode())
    assert problem.text == "not an object" and first.failed and not second.failed


def test_a_key_that_stands_twice_is_a_warning() -> None:
    text = json.dumps(GOOD).removesuffix("}") + ', "xm": "另一人"}'
    (conversion,) = convert(text.encode(), "", ADAPTER, "2026-01-01T00:00:00Z")
    assert the(conversion, "warning").field == "xm"


def test_json_nested_too_deep_is_a_problem() -> None:
    problem, _ = fatal(b'{"a":' * 100_000)
    assert "JSON" in problem.text


def test_an_unclosed_quote_in_a_csv_is_a_problem_with_line_and_column() -> None:
    problem, (first, second) = fatal(b'jgdm,zzjlid,zxjgdm,kh\nA,1,B,7\nA,2,"B,7\nA,3,B,7\n', "x.csv")
    assert (problem.line, problem.column) == (3, 5)
    assert not first.failed and second.failed


def test_a_row_of_another_width_than_the_header_is_not_read() -> None:
    problem, (short, good) = fatal(b"jgdm,zzjlid,zxjgdm,kh\nA,1,B\nA,2,B,7,,\n", "x.csv")
    assert problem.line == 2 and "3 cells" in problem.text and short.failed and not good.failed


def test_a_header_that_names_a_column_twice_is_a_problem() -> None:
    problem, _ = fatal(b"jgdm,zzjlid,jgdm\nA,1,B\n", "x.csv")
    assert "jgdm" in problem.text and problem.line == 1


def test_text_after_a_closing_quote_is_a_problem() -> None:
    problem, _ = fatal(b'jgdm,zzjlid\n"A"x,1\n', "x.csv")
    assert (problem.line, problem.column) == (2, 4)


def test_a_truncated_gb18030_csv_keeps_its_bytes() -> None:
    content = "jgdm,zzjlid,zxjgdm,kh,xm\nA,1,B,7,周晓岚".encode("gb18030")[:-1]
    (conversion,) = convert(content, "x.csv", ADAPTER, "2026-01-01T00:00:00Z")
    assert conversion.parsed.raw == content
    assert "cut off" in the(conversion, "warning").text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_csv_reads_the_same_in_every_encoding(encoding: str) -> None:
    rows: list[dict[str, Any]] = [{"zzyy": '他说"头晕"，\n夜间重'}, {"zzjlid": "R2"}]
    found = of_csv(*rows, encoding=encoding)
    assert [c.parsed.line for c in found] == [2, 4]
    assert [c.mapped and c.mapped.items for c in found] == [c.mapped and c.mapped.items for c in of_csv(*rows)]


def test_column_names_in_another_case_are_the_same_columns() -> None:
    upper = {key.upper(): value for key, value in GOOD.items()}
    (conversion,) = convert(json.dumps(upper).encode(), "", ADAPTER, "2026-01-01T00:00:00Z")
    assert conversion.problems == [] and conversion.mapped is not None
    assert [item.key for item in conversion.mapped.items] == [
        item.key for item in (of_json().mapped or conversion.mapped).items
    ]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(alphabet='{}[]",:\n\\ jgdmzlid1\t', max_size=80).map(str.encode))
def test_no_content_makes_the_adapter_raise(content: bytes) -> None:
    for name in ("x.csv", "x.json"):
        ADAPTER.recognises(content, name)
        for conversion in convert(content, name, ADAPTER, "2026-01-01T00:00:00Z"):
            assert conversion.failed
            assert not any(problem.code == "exception" for problem in conversion.problems)


cell = st.text(max_size=30) | st.none() | st.integers() | st.sampled_from(["1", "2026-03-10", "20260310", "-", "01"])


@settings(max_examples=200, deadline=None)
@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys([*GOOD, "xybzlfa", "zyjws", "mj", "mzh", "zzbz", "sjscsj"], cell))
)
def test_no_values_make_the_mapping_raise_or_give_an_invalid_status(row: dict[str, Any]) -> None:
    conversion = of_json(**row)
    assert not any(problem.code == "exception" for problem in conversion.problems)
    for entry in conversion.transaction["entry"]:
        if entry["resource"]["resourceType"] == "ServiceRequest":
            assert entry["resource"]["status"] in ("active", "revoked", "entered-in-error")
            assert entry["resource"]["subject"] and entry["resource"]["performer"]
