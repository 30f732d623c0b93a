"""Real messages (TIERCARE_SAMPLES): every ADT A01/A03/A08 and REF_I12 gets the answer and the resources of a table."""

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


def test_the_table_has_every_message_of_the_types_we_support() -> None:
    found = set()
    for folder in ("hl7v2/ms", "hl7v2/lfh", "hl7v2-cn"):
        for path in sorted((Path(FOLDER) / folder).glob("*.hl7")):
            for parsed in ADAPTER.parse(path.read_bytes(), path.name):
                if parsed.record is not None and parsed.record.type in ("ADT^A01", "ADT^A03", "ADT^A08", "REF^I12"):
                    found.add(path.relative_to(FOLDER).as_posix())
    assert found == {case["file"] for case in CASES}
