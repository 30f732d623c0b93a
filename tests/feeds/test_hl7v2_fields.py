"""The table of fields in adapters/hl7v2/README.md: every row is either mapped as it says, or listed with its reason."""

import re
from pathlib import Path

import pytest

from adapters.contract import Mapped
from adapters.hl7v2 import ADAPTER

README = Path(__file__).parents[2] / "adapters" / "hl7v2" / "README.md"
ROW = re.compile(r"\| (?P<segment>[A-Z][A-Z0-9]{2})-(?P<fields>[\d, -]+) \|(?P<element>[^|]*)\|(?P<reason>[^|]*)\|")


def rows() -> list[dict[str, str]]:
    """One a field: `| PV1-21-35, 41 | | why |` is one for each of them."""
    found = []
    for line in README.read_text("utf-8").splitlines():
        match = ROW.match(line)
        for part in match["fields"].split(",") if match else []:
            first, _, last = part.strip().partition("-")
            for field in range(int(first), int(last or first) + 1):
                row = {name: match[name].strip() for name in ("segment", "element", "reason")}  # type: ignore[index]
                found.append({"field": str(field), **row})
    return found


ROWS = rows()

PID = {3: "7^^^^PatientNO"}
PV1 = {2: "I", 19: "V1"}
# A message type for each segment, the segments around it, and the fields without which it says nothing.
ADT = ("ADT^A01", ["PID", "PV1"])
ORDER = ("ORM^O01", ["PID", "PV1", "ORC", "OBR"])
RESULT = ("ORU^R01", ["PID", "PV1", "ORC", "OBR", "OBX"])
DRUG = ("RDE^O11", ["PID", "PV1", "ORC", "RXE"])
KINDS = {
    **dict.fromkeys(("PID", "PV1", "EVN", "PD1", "NK1", "PV2", "DG1", "AL1", "IAM", "PR1", "GT1", "IN1", "IN2"), ADT),
    **dict.fromkeys(("ORC", "TQ1"), ORDER),
    **dict.fromkeys(("OBR", "OBX", "SPM", "NTE"), RESULT),
    "SAC": ("ORU^R01", ["PID", "PV1", "ORC", "OBR", "OBX", "SPM"]),
    **dict.fromkeys(("RXE", "RXR", "RXC"), DRUG),
    "MSH": ADT,
    "MRG": ("ADT^A40", ["PID"]),
    "RXO": ("OMP^O09", ["PID", "PV1", "ORC"]),
    "RXD": ("RDS^O13", ["PID", "PV1", "ORC"]),
    "RXA": ("VXU^V04", ["PID", "ORC"]),
    "TXA": ("MDM^T02", ["PID", "PV1"]),
    "RF1": ("REF^I12", ["PRD", "PID"]),
    "PRD": ("REF^I12", ["RF1", "PID"]),
    "SCH": ("SIU^S12", ["PID"]),
    **dict.fromkeys(("AIS", "AIG", "AIL", "AIP"), ("SIU^S12", ["SCH", "PID", "RGS"])),
    "PRB": ("PPR^PC1", ["PID"]),
    "GOL": ("PPR^PC1", ["PID"]),
    "FT1": ("DFT^P03", ["PID", "PV1"]),
    "ROL": ADT,
    "PRT": RESULT,
    "DB1": ADT,
}
NEEDED: dict[str, dict[int, str]] = {
    "PID": PID,
    "PV1": PV1,
    "DG1": {3: "J18^肺炎^I10"},
    "AL1": {3: "A^青霉素"},
    "IAM": {3: "A^青霉素"},
    "PR1": {3: "P^手术"},
    "GT1": {2: "G1"},
    "IN1": {3: "Y1", 4: "医保局"},
    "NK1": {2: "某^人"},
    "OBR": {2: "A1", 4: "CT^检查"},
    "OBX": {2: "ST", 3: "X^项目", 5: "某", 11: "F"},
    "SPM": {4: "BLD"},
    "NTE": {3: "文字"},
    "ROL": {3: "PP^主管", 4: "D1^某"},
    "PRT": {4: "PH^角色", 5: "D1^某"},
    "RXE": {2: "D^药"},
    "RXO": {1: "D^药"},
    "RXD": {2: "D^药"},
    "RXC": {2: "D^药"},
    "RXA": {5: "D^疫苗"},
    "ORC": {1: "NW", 2: "A1"},
    "TXA": {12: "T1"},
    "RF1": {6: "Z1"},
    "PRD": {1: "RT", 2: "某^人", 10: "医院"},
    "SCH": {1: "Y1", 11: "^^^20240520090000^20240520093000"},
    "PRB": {3: "P^问题"},
    "GOL": {3: "G^目标"},
    "FT1": {7: "F^费用"},
    "MRG": {1: "8^^^^PatientNO"},
    "IN2": {},
}
# Values of the kinds that fields have; a row holds when one of them lands where the row says.
VALUES = [
    "20240501083000",
    "20240501",
    "N1^某词^99T",
    "D9^某^人",
    "某^人",
    "Y",
    "2",
    "5^mL",
    "^PRN^PH^^^010^65550000",
    "某路1号^^某市^某省^100000^中国",
    "S",
    "F",
    "A",
    "AU",
    "C",
    "^^^20240520090000^20240520093000",
    "^TID",
    "1&HIS^2&LIS",
    "0301^12^3",
    "20&CNY",
    "NM",
    "CP",
    "PT",
    "RT",
    "M",
    "LOC^部位^99T",
    "&某词&99T",
    "DA",
    "SV",
    "AP^1&某人",
    "D1&某&人",
    "36.0-37.2",
    "abc",
    "HIS",
    "O",
    "AV",
    "R",
    "I",
    "D",
    "Booked",
    "20240520090000",
    "某^^某^人",
]


def written(name: str, fields: dict[int, str]) -> str:
    last = max(fields, default=0)
    return "|".join([name, *(fields.get(number, "") for number in range(1, last + 1))])


def mapped(segment: str, field: int, value: str) -> Mapped:
    kind, around = KINDS[segment]
    header = {3: "HIS", 4: "QH", 9: kind, 10: "1", 11: "P", 12: "2.5.1"}
    if segment == "MSH":
        header[field] = value
    lines = [written("MSH", {n - 1: text for n, text in header.items()} | {1: "^~\\&"})]
    names = [name for name in around if name != segment]
    place = around.index(segment) if segment in around else len(names)
    names[place:place] = [segment] if segment != "MSH" else []
    if segment == "IN2":
        names.insert(place, "IN1")
    if segment == "RXR":
        names = ["PID", "PV1", "ORC", "RXE", "RXR"]
    for name in names:
        fields = dict(NEEDED.get(name, {}))
        if name == segment:
            fields[field] = value
            fields |= COMPANIONS.get((name, field), {})
        lines.append(written(name, fields))
    (parsed,) = ADAPTER.parse("\r".join(lines).encode(), "")
    return ADAPTER.map(parsed.record)


# Fields that only say something beside another one.
COMPANIONS: dict[tuple[str, int], dict[int, str]] = {
    ("PID", 25): {24: "Y"},
    ("PID", 12): {11: "某路1号^^某市"},
    ("OBX", 6): {2: "NM", 5: "5"},
    ("OBX", 2): {5: "5"},
    ("PV1", 40): {3: "0301"},
    ("AL1", 4): {5: "皮疹"},
    ("RXE", 4): {3: "1"},
    ("RXE", 5): {3: "1"},
    ("RXO", 4): {2: "1"},
    ("RXO", 3): {2: "1"},
    ("RXE", 11): {10: "3"},
    ("RXE", 24): {23: "3"},
    ("RXO", 12): {11: "3"},
    ("RXD", 5): {4: "3"},
    ("RXC", 4): {3: "3"},
    ("RXC", 1): {3: "3"},
    ("RXA", 7): {6: "3"},
    ("RXA", 4): {3: "20240501083000"},
    ("PR1", 7): {5: "20240501083000"},
    ("GT1", 14): {13: "20240101"},
    ("IN1", 13): {12: "20240101"},
    ("IN1", 9): {8: "G1"},
    ("NK1", 9): {8: "20240101"},
    ("OBR", 8): {7: "20240501080000"},
    ("OBR", 9): {15: "BLD^血"},
    ("OBR", 10): {15: "BLD^血"},
    ("PRD", 9): {8: "20240101"},
    ("TQ1", 8): {7: "20240501080000"},
    ("RF1", 8): {7: "20240501"},
    ("FT1", 10): {},
    ("RXE", 21): {},
    ("PID", 36): {35: "DOG^犬"},
    ("ORC", 14): {12: "D1^某", 21: "医院"},
    ("ORC", 22): {21: "医院"},
    ("ORC", 23): {21: "医院"},
    ("PR1", 4): {3: "P"},
    ("DG1", 2): {3: "J18^肺炎"},
    ("NK1", 15): {},
    ("PRT", 8): {5: ""},
    ("PRT", 9): {5: ""},
    ("ROL", 14): {4: ""},
    ("ORC", 24): {12: "D1^某"},
    ("OBX", 24): {23: "检验科"},
    ("SCH", 10): {9: "30"},
    ("ORC", 5): {1: "SC"},
    ("AIP", 4): {3: "D1^某"},
    ("AIL", 4): {3: "0301"},
    ("AIG", 4): {3: "E1^某"},
    ("AIP", 12): {3: "D1^某"},
    ("AIL", 12): {3: "0301"},
    ("AIG", 12): {3: "E1^某"},
    ("AIS", 4): {3: "S^某"},
}


def elements(segment: str, field: int) -> set[str]:
    """The elements that the field reaches, with any of the values."""
    found: set[str] = set()
    for value in VALUES:
        result = mapped(segment, field, value)
        for trace in result.trace:
            if trace.field.partition("[")[0] == f"{segment}-{field}":
                found.add(re.sub(r"\[\d+\]", "", trace.element))
        if segment in ("MSH", "EVN") and result.leaves:
            listed = {re.split(r"[.\[]", place)[0] for place, _, _ in result.leaves.listed}
            if f"{segment}-{field}" not in listed:
                found |= {f"DocumentReference.{element}" for element in result.document}
                found |= {f"Provenance.{element}" for element in result.provenance}
                found |= {"DocumentReference.date"} if result.when else set()
    return found


def test_the_table_covers_the_segments_that_rules_map() -> None:
    assert {row["segment"] for row in ROWS} == set(KINDS)
    assert len(ROWS) > 400
    assert len({(row["segment"], row["field"]) for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert bool(row["element"].strip()) != bool(row["reason"].strip()), row


@pytest.mark.parametrize("segment", sorted(KINDS))
def test_every_field_lands_where_the_table_says_or_has_a_reason_not_to(segment: str) -> None:
    wrong = []
    for row in ROWS:
        if row["segment"] != segment:
            continue
        found = elements(segment, int(row["field"]))
        expected = {element.strip() for element in row["element"].split(",") if element.strip()}
        if expected and not expected <= found:
            wrong.append((row["field"], sorted(expected), sorted(found)))
        if not expected and found and segment not in ("MSH", "EVN"):
            wrong.append((row["field"], row["reason"], sorted(found)))
    assert wrong == []
