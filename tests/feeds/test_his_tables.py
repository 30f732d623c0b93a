"""Extracts of hospital systems: every style of column name, workbooks that would do harm, damage, guesses."""

import csv
import io
import zipfile
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.his_tables import ADAPTER
from adapters.his_tables.guess import guess
from adapters.his_tables.parse import meaning
from adapters.his_tables.workbook import text
from adapters.registry import choose
from adapters.runner import Conversion, convert

RECORDED = "2026-01-01T00:00:00Z"


def table(*rows: list[Any], encoding: str = "utf-8") -> list[Conversion]:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return convert(written.getvalue().encode(encoding), "x.csv", ADAPTER, RECORDED)


def workbook(*rows: list[Any]) -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def zipped(**parts: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return written.getvalue()


def of(conversion: Conversion, type: str) -> list[dict[str, Any]]:
    return [e["resource"] for e in conversion.transaction["entry"] if e["resource"]["resourceType"] == type]


def fatal(content: bytes, name: str = "x.xlsx") -> str:
    found = [p for c in convert(content, name, ADAPTER, RECORDED) for p in c.problems if p.severity == "fatal"]
    assert len(found) == 1, found
    return found[0].text


@pytest.mark.parametrize(
    "name",
    ["zyh", "ZYH", "住院号", "zhuyuanhao", "inpatient_no", "InpatientNo", "DE01.00.014.00", "“住院号”".strip("“”")],
)
def test_a_column_is_known_in_every_style(name: str) -> None:
    column = meaning(name)
    assert column is not None and column.role == "number"


def test_hqms_numbers_name_their_columns() -> None:
    roles = [
        column.role for name in ("P900", "P3", "P4", "P5", "P6", "P22", "P25", "P321") if (column := meaning(name))
    ]
    assert roles == [
        "org.code", "patient.chart", "patient.name", "patient.sex", "patient.birth", "visit.start", "visit.end",
        "diagnosis.main.code",
    ]  # fmt: skip


def test_numbered_columns_are_one_list() -> None:
    header = ["住院号", "病案号", "主要诊断编码", "其他诊断编码1", "其他诊断名称1", "其他诊断编码2"]
    (found,) = table(header, ["Z1", "B1", "I63.900", "I10.x00x002", "高血压病", "E11.900"])
    assert [(c["code"]["coding"][0]["code"], c["code"]["text"]) for c in of(found, "Condition")] == [
        ("I63.900", "I63.900"),
        ("I10.x00x002", "高血压病"),
        ("E11.900", "E11.900"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
def test_an_extract_is_read_in_every_charset(encoding: str) -> None:
    (found,) = table(["住院号", "病案号", "姓名"], ["Z1", "B1", "沈知微"], encoding=encoding)
    assert of(found, "Patient")[0]["name"][0]["text"] == "沈知微"


def test_a_row_without_number_and_time_is_known_by_its_content_and_says_so() -> None:
    rows = (["病案号", "离院方式", "诊断编码"], ["B1", "1", "q55.606,n47.x00x001"], ["B1", "1", "K80.501"])
    first, second = table(*rows)
    assert of(first, "Encounter")[0]["id"] != of(second, "Encounter")[0]["id"]
    assert any("known by its content" in problem.text for problem in first.problems)
    assert of(table(*rows)[0], "Encounter")[0]["id"] == of(first, "Encounter")[0]["id"]


def test_a_table_of_unknown_columns_is_refused_with_their_names() -> None:
    (found,) = table(["foo", "bar"], ["1", "2"])
    assert found.failed and "foo, bar" in found.problems[0].text


def test_a_regional_layout_goes_to_its_own_adapter() -> None:
    assert choose(b"jgdm,zzjlid,xm\nA,1,B\n", "x.csv").name == "regional_json"
    assert choose("机构代码,住院号,姓名\nA,1,B\n".encode(), "x.csv").name == "his_tables"


def test_numbers_of_a_workbook_are_read_as_typed() -> None:
    assert [text(value) for value in (1.0, 12345, 36.6, True, None, "#N/A", " x ")] == [
        "1",
        "12345",
        "36.6",
        "1",
        "",
        "",
        "x",
    ]


def test_an_identity_number_that_a_workbook_keeps_as_a_number_identifies_nobody() -> None:
    content = workbook(["住院号", "姓名", "身份证号"], ["Z1", "沈知微", 429900195603140175])
    (found,) = convert(content, "x.xlsx", ADAPTER, RECORDED)
    assert found.failed and any("spreadsheet" in problem.text for problem in found.problems)


def test_titles_above_the_header_and_empty_rows_are_passed_over() -> None:
    rows = (["一览表"], [], ["住院号", "病案号", "姓名"], ["Z1", "B1", "沈知微"], [], ["Z2", "B2", "温故"])
    found = convert(workbook(*rows), "x.xlsx", ADAPTER, RECORDED)
    assert [conversion.parsed.line for conversion in found] == [4, 6]
    assert found[0].parsed.raw.decode() == "住院号,病案号,姓名\nZ1,B1,沈知微\n"


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    assert "unpacks to more than" in fatal(zipped(xl__workbook_xml=b"0" * 300_000_000))
    assert "times its size" in fatal(zipped(xl__workbook_xml=b"0" * 20_000_000))


def test_a_workbook_with_entities_is_refused() -> None:
    body = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    assert "document type" in fatal(zipped(xl__workbook_xml=body))


def test_a_truncated_workbook_and_a_zip_that_is_none_are_refused() -> None:
    assert fatal(workbook(["住院号", "姓名"], ["Z1", "A"])[:-40])
    assert "cannot be read" in fatal(zipped(a_txt=b"x"))


def test_a_sheet_without_known_columns_is_refused() -> None:
    assert "guess" in fatal(workbook(["a", "b"], [1, 2]))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["x.csv", "x.tsv", "x.xlsx"]))
def test_no_content_makes_the_adapter_raise(content: bytes, name: str) -> None:
    for start in (b"", b"PK\x03\x04"):
        ADAPTER.recognises(start + content, name)
        for conversion in convert(start + content, name, ADAPTER, RECORDED):
            assert not any(problem.code == "exception" for problem in conversion.problems), conversion.problems


good = workbook(["住院号", "病案号", "姓名", "入院日期"], ["Z1", "B1", "沈知微", "2026-01-05"])


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(good) - 1), st.binary(min_size=1, max_size=8))
def test_no_damage_to_a_workbook_makes_the_adapter_raise(at: int, put: bytes) -> None:
    for conversion in convert(good[:at] + put + good[at + len(put) :], "x.xlsx", ADAPTER, RECORDED):
        assert not any(problem.code == "exception" for problem in conversion.problems), conversion.problems


HEADER = [
    "住院号", "病案号", "性别", "出生日期", "入院日期", "出院日期", "住院天数", "离院方式", "诊断编码", "诊断名称",
    "手术编码", "手术日期", "血压", "体重",
]  # fmt: skip
cell = st.text(max_size=15) | st.sampled_from(
    ["1", "2", "2026-01-05", "I10.x00x002,", "E11+I79*", "45231", "138/86", "-", "9" * 18]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(cell, min_size=len(HEADER), max_size=len(HEADER)))
def test_no_values_make_the_mapping_break_off(row: list[str]) -> None:
    for conversion in table(HEADER, [value.replace("\r", " ") for value in row]):
        assert not any(problem.code == "exception" for problem in conversion.problems), conversion.problems


def test_a_guess_goes_by_names_like_it_and_by_what_cells_hold() -> None:
    header = ["HZ_XINGMING", "c1", "c2", "住院病人科室名称", "c3", "zzz", "住院号"]
    rows = [
        ["沈知微", "429900195603140175", "13800000001", "内科", "I10.x00x002,E11.900", "??", "Z1"],
        ["温故", "42990019750601001X", "13800000002", "外科", "K80.501", "!", "Z2"],
    ]
    found = {one.column: (one.role, one.how) for one in guess(header, rows)}
    assert found == {
        "HZ_XINGMING": ("patient.name", "name"),
        "c1": ("patient.id_card", "values"),
        "c2": ("patient.phone", "values"),
        "住院病人科室名称": ("org.dept.name", "name"),
        "c3": ("diagnosis.discharge.code", "values"),
        "zzz": ("", "none"),
        "住院号": ("number", "known"),
    }
