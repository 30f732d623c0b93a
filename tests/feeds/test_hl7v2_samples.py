"""Real messages (TIERCARE_SAMPLES): every one gets the answer and the resources of a table, and loses nothing."""

import csv
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class

from adapters.hl7v2 import ADAPTER
from adapters.hl7v2.ack import acknowledge, answer_code
from adapters.kit.transaction import sentence
from adapters.runner import convert
from adapters.wire import to_json
from tests.client import Fhir

FOLDER = os.environ.get("TIERCARE_SAMPLES", "")
TABLE = Path(__file__).parent / "cases" / "hl7v2_samples.csv"
with TABLE.open(encoding="utf-8", newline="") as _file:
    CASES = list(csv.DictReader(_file))

pytestmark = pytest.mark.skipif(not FOLDER, reason=f"TIERCARE_SAMPLES is not set: {len(CASES)} HL7 v2 messages skipped")


@pytest.mark.parametrize("case", CASES, ids=[case["file"] for case in CASES])
def test_a_real_message_gets_its_answer_and_its_resources(case: dict[str, str]) -> None:
    content = (Path(FOLDER) / case["file"]).read_bytes()
    (conversion,) = convert(content, case["file"], ADAPTER, "2024-05-01T00:00:00Z")
    code = answer_code(conversion.problems, again=False)
    items = conversion.mapped.items if conversion.mapped and not conversion.failed else []
    counts = Counter(item.resource["resourceType"] for item in items)
    errors = [problem for problem in conversion.problems if problem.severity in ("fatal", "error")]
    assert code == case["answer"]
    assert " ".join(f"{type} {count}" for type, count in sorted(counts.items())) == case["resources"]
    assert "; ".join(sentence(problem) for problem in errors) == case["reason"]
    answer = acknowledge(conversion.parsed.record, code, conversion.problems, "20240501", "1")
    assert f"MSA|{code}|".encode() in answer
    for entry in conversion.transaction["entry"]:
        plain = json.loads(to_json(entry["resource"]))
        get_fhir_model_class(plain["resourceType"]).model_validate(plain)


def test_the_table_has_every_message() -> None:
    found = set()
    for folder in ("hl7v2/ms", "hl7v2/lfh", "hl7v2-cn"):
        found |= {path.relative_to(FOLDER).as_posix() for path in (Path(FOLDER) / folder).glob("*.hl7")}
    assert found == {case["file"] for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=[case["file"] for case in CASES])
def test_every_component_is_mapped_or_listed_with_a_reason(case: dict[str, str]) -> None:
    (parsed,) = ADAPTER.parse((Path(FOLDER) / case["file"]).read_bytes(), case["file"])
    leaves = ADAPTER.map(parsed.record).leaves
    assert leaves is not None
    written = sum(len(list(segment.leaves())) for segment in parsed.record.segments)
    assert leaves.present == written == leaves.mapped + len(leaves.listed)
    assert all(reason for _, _, reason in leaves.listed)


async def test_every_message_passes_the_validation_of_a_server(face: Fhir) -> None:
    refused = []
    for case in CASES:
        (conversion,) = convert(
            (Path(FOLDER) / case["file"]).read_bytes(), case["file"], ADAPTER, "2024-05-01T00:00:00Z"
        )
        answer = await face.post("", to_json(conversion.transaction))
        if answer.status_code != 200:
            refused.append((case["file"], answer.status_code, answer.text))
    # By then several patients of this sender have its only number (PID-2): which one is meant, nobody can tell.
    assert [(file, status) for file, status, _ in refused] == [(AMBIGUOUS, 412)], refused


AMBIGUOUS = "hl7v2/lfh/ResourceExpressionTest-019-ADT_A01.hl7"
