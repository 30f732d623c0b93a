"""adapters.kit.codes: code systems, placeholders, concepts, tables."""

from pathlib import Path

import pytest

from adapters.kit import codes


@pytest.mark.parametrize("text", [None, "", " ", "-", "/", "无", "NA", "n/a", '""', "null", "不详", "－"])
def test_a_placeholder_says_nothing(text: str | None) -> None:
    assert codes.absent(text)


@pytest.mark.parametrize("text", ["0", "无过敏史", "N", "不详细"])
def test_what_only_looks_like_a_placeholder_says_something(text: str) -> None:
    assert not codes.absent(text)


@pytest.mark.parametrize(
    ("oid", "system"),
    [
        ("2.16.840.1.113883.6.1", "http://loinc.org"),
        ("2.16.156.10011.2.3.3.11", codes.ICD10),
        ("2.16.156.10011.2.3.3.11.5", codes.ICD10),
        ("SD.11.4.5", codes.ICD10),
        ("2.16.156.10011.2.3.3.4", "urn:oid:2.16.156.10011.2.3.3.4"),
        ("SD.4.1", "urn:tiercare:alias:SD.4.1"),
        ("院内 代码", "urn:tiercare:alias:%E9%99%A2%E5%86%85%20%E4%BB%A3%E7%A0%81"),
        ("http://loinc.org", "http://loinc.org"),
        ("", ""),
    ],
)
def test_an_oid_or_alias_has_one_system(oid: str, system: str) -> None:
    assert codes.system_of(oid) == system


def test_a_concept_keeps_code_display_and_text() -> None:
    assert codes.concept("I10", codes.ICD10, "原发性高血压", "高血压") == {
        "coding": [{"system": codes.ICD10, "code": "I10", "display": "原发性高血压"}],
        "text": "高血压",
    }
    assert codes.concept(text="高血压") == {"text": "高血压"}
    assert codes.concept("-", "x", "无", " ") is None


def test_a_table_gives_the_columns_of_a_code() -> None:
    assert codes.table("adapters.regional_json", "pay_ways")["07"] == ("全自费",)
    assert codes.table("adapters.regional_json", "pay_ways.csv") == codes.table("adapters.regional_json", "pay_ways")


def test_a_code_that_stands_twice_in_a_table_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "twice" / "tables").mkdir(parents=True)
    (tmp_path / "twice" / "__init__.py").write_text("")
    (tmp_path / "twice" / "tables" / "t.csv").write_text("code,text\n1,a\n1,b\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="twice"):
        codes.table("twice", "t")
