"""Real documents of hospitals and platforms, when TIERCARE_SAMPLES names their folder: cases/cda_samples.csv says what
each becomes. None of their text is in the project."""

import base64
import csv
import os
from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class

from adapters.cda import ADAPTER
from adapters.wire import to_json
from tests.client import Fhir
from tests.feeds.cases.cda_builder import convert_one, counts, one, transaction

FOLDERS = ("cda-wst500", "cda-regional-2011", "ccda")
CASES = Path(__file__).parent / "cases" / "cda_samples.csv"


def expected() -> dict[str, dict[str, str]]:
    with CASES.open(encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def samples() -> Path:
    folder = os.environ.get("TIERCARE_SAMPLES")
    if not folder:
        pytest.skip(f"{len(expected())} CDA documents not tested: TIERCARE_SAMPLES names no folder of samples")
    return Path(folder)


def test_every_document_of_the_samples_is_in_the_table() -> None:
    root = samples()
    found = {f"{folder}/{path.name}" for folder in FOLDERS for path in (root / folder).glob("*.xml")}
    assert found == set(expected())


def test_every_document_becomes_what_the_table_says() -> None:
    root, wrong = samples(), []
    for file, row in expected().items():
        content = (root / file).read_bytes()
        assert ADAPTER.recognises(content, file), file
        conversion = convert_one(content)
        stopping = [p for p in conversion.problems if p.severity in ("fatal", "error")]
        leaves = conversion.mapped.leaves if conversion.mapped else None
        found = {
            "leaves": f"{leaves.present} {leaves.mapped} {len(leaves.listed)}" if leaves else "",
            "outcome": "raw" if conversion.failed else "converted",
            "line": str(stopping[0].line or "") if stopping else "",
            "column": str(stopping[0].column or "") if stopping else "",
            "reason": stopping[0].text if stopping else "",
            "resources": " ".join(f"{type}={number}" for type, number in counts(conversion).items()),
        }
        wrong += [f"{file} {name}: {found[name]} instead of {row[name]}" for name in found if found[name] != row[name]]
        assert base64.b64decode(one(conversion, "Binary")["data"]) == content
    assert wrong == []


def test_every_resource_of_the_samples_is_valid() -> None:
    root, wrong = samples(), []
    for file in expected():
        for entry in transaction(convert_one((root / file).read_bytes()))["entry"]:
            resource = entry["resource"]
            try:
                get_fhir_model_class(resource["resourceType"]).model_validate(resource)
            except ValueError as error:
                wrong.append(f"{file} {resource['resourceType']}: {error}")
    assert wrong == []


def test_the_same_document_twice_is_the_same_transaction() -> None:
    root = samples()
    for file in expected():
        content = (root / file).read_bytes()
        assert transaction(convert_one(content)) == transaction(convert_one(content)), file


async def test_a_server_takes_every_document_of_the_samples(fhir: Fhir) -> None:
    root = samples()
    for file in expected():
        answer = await fhir.post("", to_json(convert_one((root / file).read_bytes()).transaction))
        assert answer.status_code == 200, f"{file}: {answer.text[:500]}"
