"""What became of every leaf of a CDA document is counted, and the count is true: change a mapped leaf, and a
resource changes."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters.cda import leftovers
from adapters.cda import map as mapping
from adapters.cda import parse as reading
from adapters.cda.record import Document
from adapters.contract import Mapped
from tests.feeds.cases.cda_builder import NAMES as SAMPLE_NAMES
from tests.feeds.cases.cda_builder import SAMPLES, convert_one, document, observation, section, st
from tests.feeds.cases.cda_types import DOCUMENTS

CASES = Path(__file__).parent / "cases" / "cda"
EVERY = {
    **DOCUMENTS,
    "ccd": (CASES / "ccd.xml").read_bytes(),
    **{name: (SAMPLES / name).read_bytes() for name in SAMPLE_NAMES},
}
_WORDS = ("extension", "displayName", "code", "literal")


def changed(name: str, value: str) -> str:
    """Another value of the same kind: words longer by one, another year, another number, the other truth."""
    if value in ("true", "false"):
        return "false" if value == "true" else "true"
    if name == "value" and value[:8].isdigit() and len(value) >= len("20240313"):
        return f"{value[:3]}{(int(value[3]) + 1) % 10}{value[4:]}"
    return f"{value}1" if name == "value" else f"{value}甲"


def read(content: bytes) -> Document:
    (parsed,) = reading.parse(content, "x.xml")
    assert isinstance(parsed.record, Document)
    return parsed.record


def without_narrative(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_narrative(part) for name, part in value.items() if name != "div"}
    return [without_narrative(part) for part in value] if isinstance(value, list) else value


def structured(mapped: Mapped) -> str:
    # The Bundle is all of it once more; only its identifier, the document's own, stands nowhere else.
    items = [r if (r := item.resource)["resourceType"] != "Bundle" else r["identifier"] for item in mapped.items]
    return json.dumps(without_narrative(items), default=str, ensure_ascii=False)


@pytest.mark.parametrize("name", sorted(EVERY))
def test_present_is_mapped_and_listed(name: str) -> None:
    leaves = convert_one(EVERY[name]).mapped.leaves  # type: ignore[union-attr]
    assert leaves is not None
    assert leaves.present == leaves.mapped + len(leaves.listed)
    assert leaves.mapped >= 0.9 * leaves.present


@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_mapped_leaf_that_changes_changes_a_resource(name: str) -> None:
    record = read(EVERY[name])
    first = mapping.map_document(record)
    before, unchanged = structured(first), []
    assert first.leaves is not None
    listed = {(path, line) for path, line, _ in first.leaves.listed}
    for node, said in leftovers.leaves(record.root):
        if (node.path, node.line) in listed:
            continue
        text, attributes = node.text, dict(node.attributes)
        node.text = changed("text", text) if text.strip() else text
        for attribute in ("value", *_WORDS):
            if attribute in attributes:
                node.attributes[attribute] = changed(attribute, attributes[attribute])
        if structured(mapping.map_document(record)) == before:
            unchanged.append(f"{node.path} = {said}")
        node.text = text
        node.attributes.update(attributes)
    assert unchanged == []


def test_every_element_of_a_resource_says_where_it_came_from() -> None:
    conversion = convert_one(DOCUMENTS["C0007"])
    assert conversion.mapped is not None
    traced = {(row.element, row.field) for row in conversion.mapped.trace}
    assert ("Patient.birthDate", "recordTarget/patientRole/patient/birthTime") in traced
    assert ("Observation.valueQuantity", "DE04.30.015.00") in traced
    assert all(row.line for row in conversion.mapped.trace if row.field.startswith("DE04"))


def test_a_statement_without_a_rule_is_listed_with_its_line() -> None:
    strange = "<act><code code='X1'/><newElement value='7'/></act>"
    mapped = convert_one(document(section("30954-2", strange))).mapped
    assert mapped is not None
    assert mapped.leaves is not None
    (place, line, reason) = next(row for row in mapped.leaves.listed if "newElement" in row[0])
    assert place.endswith("act/newElement")
    assert line > 1
    assert reason == "no rule for newElement = 7"


def test_the_authors_own_prose_is_no_leaf() -> None:
    bare = convert_one(document(section("30954-2", observation("DE04.10.258.00", st("稳定"), "检查")))).mapped
    told = convert_one(
        document(section("30954-2", observation("DE04.10.258.00", st("稳定"), "检查"), text="病情稳定，继续观察"))
    ).mapped
    assert bare is not None and bare.leaves is not None
    assert told is not None and told.leaves is not None
    assert bare.leaves.present == told.leaves.present


def test_explain_prints_the_counts_of_a_document(tmp_path: Path) -> None:
    file = tmp_path / "ccd.xml"
    file.write_bytes(EVERY["ccd"])
    command = [sys.executable, "-c", "from adapters.commands import convert; import typer; typer.run(convert)"]
    done = subprocess.run(
        [*command, str(file), "--adapter", "cda", "--explain"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        encoding="utf-8",
    )
    leaves = convert_one(EVERY["ccd"]).mapped.leaves  # type: ignore[union-attr]
    assert leaves is not None
    assert leaves.present > leaves.mapped > 100
    counts = rf"{leaves.present} present, {leaves.mapped} mapped \([0-9.]+ %\), {len(leaves.listed)} listed"
    assert re.search(counts, done.stderr)
    assert done.stderr.count("listed: line") == len(leaves.listed)
