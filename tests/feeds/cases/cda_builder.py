"""CDA documents for tests: a small valid one whose parts a test replaces, and what the adapter makes of content."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adapters import cda
from adapters.contract import Problem
from adapters.runner import Conversion, convert
from adapters.wire import to_json

SAMPLES = Path(cda.__file__).parents[1] / "samples" / "cda"
RECORDED = "2026-03-15T00:00:00Z"
NAMES = (
    "discharge_record_c0049.gb18030.xml",
    "discharge_summary_c0053.xml",
    "front_page_c0032.xml",
    "referral_a0003.xml",
)
"""The samples that convert."""
KEPT = {"Binary", "DocumentReference", "Provenance"}
Resource = dict[str, Any]

ICD = 'codeSystem="2.16.156.10011.2.3.3.11.5"'
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <id root="2.16.156.10011.1.1" extension="DOC-1"/>
  <code code="{code}" codeSystem="2.16.156.10011.2.4"/>
  <title>{title}</title>
  <effectiveTime value="20240313101500"/>
  <confidentialityCode code="N"/>
"""
PATIENT = """  <recordTarget><patientRole>
    <id root="2.16.156.10011.1.12" extension="ZY001"/>
    <patient>
      <id root="2.16.156.10011.1.3" extension="370102195103140028"/>
      <name>卢婉清</name>
      <administrativeGenderCode code="2"/>
      <birthTime value="19510314"/>
    </patient>
  </patientRole></recordTarget>
"""
PEOPLE = """  <author><time value="20240313"/><assignedAuthor>
    <id root="2.16.156.10011.1.7" extension="30417"/><assignedPerson><name>苏景明</name></assignedPerson>
  </assignedAuthor></author>
  <custodian><assignedCustodian><representedCustodianOrganization>
    <id root="2.16.156.10011.1.5" extension="99000000A"/><name>泉城区第一人民医院</name>
  </representedCustodianOrganization></assignedCustodian></custodian>
"""


def document(*sections: str, code: str = "C0049", title: str = "出院记录", patient: str = PATIENT) -> bytes:
    body = "".join(f"<component>{section}</component>\n" for section in sections)
    head = _HEAD.format(code=code, title=title)
    end = f"<component><structuredBody>{body}</structuredBody></component></ClinicalDocument>"
    return f"{head}{patient}{PEOPLE}{end}".encode()


def section(code: str, *entries: str, text: str = "", title: str = "") -> str:
    named = f"<title>{title}</title>" if title else ""
    inner = "".join(f"<entry>{entry}</entry>\n" for entry in entries)
    head = f'<code code="{code}" codeSystem="2.16.840.1.113883.6.1"/>{named}<text>{text}</text>'
    return f"<section>{head}\n{inner}</section>"


def observation(code: str, value: str, label: str = "", more: str = "") -> str:
    return f'<observation><code code="{code}" displayName="{label}"/>{value}{more}</observation>'


def st(text: str) -> str:
    return f'<value xsi:type="ST">{text}</value>'


def convert_one(content: bytes) -> Conversion:
    (conversion,) = convert(content, "document.xml", cda.ADAPTER, RECORDED)
    return conversion


def sample(name: str) -> Conversion:
    return convert_one((SAMPLES / name).read_bytes())


def transaction(conversion: Conversion) -> Resource:
    """As a server sees it: numbers are strings here, so that no digit is lost in the test."""
    found: Resource = json.loads(to_json(conversion.transaction), parse_float=str)
    return found


def resources(conversion: Conversion, type: str) -> list[Resource]:
    found = [entry["resource"] for entry in transaction(conversion)["entry"]]
    return [resource for resource in found if resource["resourceType"] == type]


def one(conversion: Conversion, type: str) -> Resource:
    (found,) = resources(conversion, type)
    return found


def entry_of(conversion: Conversion, reference: Resource) -> Resource:
    """The resource that a reference leads to inside the transaction."""
    (found,) = [e["resource"] for e in transaction(conversion)["entry"] if e["fullUrl"] == reference["reference"]]
    return found


def counts(conversion: Conversion) -> dict[str, int]:
    """Resources by type, without the raw message and its provenance."""
    found = Counter(entry["resource"]["resourceType"] for entry in conversion.transaction["entry"])
    return {type: number for type, number in sorted(found.items()) if type not in KEPT}


def told(conversion: Conversion, severity: str) -> list[Problem]:
    return [problem for problem in conversion.problems if problem.severity == severity]


def by_code(conversion: Conversion, code: str) -> Resource:
    """The Observation of a data element."""
    (found,) = [
        resource
        for resource in resources(conversion, "Observation")
        if any(coding["code"] == code for coding in resource["code"].get("coding", []))
    ]
    return found


def references(value: Any) -> Iterator[str]:
    """Every `reference` in a resource or list."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name == "reference" and isinstance(part, str):
                yield part
            else:
                yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)
