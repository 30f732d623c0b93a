"""The group tree of HL7 v2: what repeats hangs on its right parent, in whatever order a version sends it."""

import csv
import re
from pathlib import Path

import pytest

from adapters.hl7v2.message import Line, Message
from adapters.hl7v2.structure import Group, shapes, tree

TABLES = Path(__file__).parents[2] / "adapters" / "hl7v2" / "tables"


def drawn(group: Group) -> str:
    """`ORDER(ORC OBR OBSERVATION(OBX NTE))`"""
    inside = " ".join([*(segment.name for segment in group.segments), *(drawn(inner) for inner in group.groups)])
    return f"{group.name}({inside})"


def grouped(structure: str, segments: str) -> tuple[str, list[str]]:
    lines = [Line(name, f"{name}|1", number) for number, name in enumerate(segments.split(), 1)]
    lines[0] = Line("MSH", "MSH|^~\\&|HIS", 1)
    root, strangers = tree(Message(lines, "utf-8"), structure)
    return drawn(root), [segment.name for segment in strangers]


@pytest.mark.parametrize(
    ("structure", "segments", "expected"),
    [
        (
            "ORDERS",
            "MSH PID PV1 ORC OBR NTE OBX NTE OBX SPM ORC OBR OBX NTE",
            (
                "ORDERS(MSH PERSON(PID VISIT(PV1) ORDER(ORC OBR NTE OBSERVATION(OBX NTE) OBSERVATION(OBX) "
                "SPECIMEN(SPM)) "
                "ORDER(ORC OBR OBSERVATION(OBX NTE))))"
            ),
        ),
        (
            "ORDERS",
            "MSH PID OBR OBX OBR OBX NTE",
            "ORDERS(MSH PERSON(PID ORDER(OBR OBSERVATION(OBX)) ORDER(OBR OBSERVATION(OBX NTE))))",
        ),
        (
            "ORDERS",
            "MSH PID ORC RXO RXR RXE RXR RXC RXC NTE OBX ORC RXE RXR",
            (
                "ORDERS(MSH PERSON(PID ORDER(ORC ORDERED(RXO RXR) ENCODED(RXE RXR RXC RXC NTE) OBSERVATION(OBX)) "
                "ORDER(ORC ENCODED(RXE RXR))))"
            ),
        ),
        (
            "ORDERS",
            "MSH PID ORC RXA RXR OBX OBX NTE ORC RXA",
            (
                "ORDERS(MSH PERSON(PID ORDER(ORC ADMINISTERED(RXA RXR OBSERVATION(OBX) OBSERVATION(OBX NTE))) "
                "ORDER(ORC ADMINISTERED(RXA))))"
            ),
        ),
        (
            "ORDERS",
            "MSH PID ORC OBR OBX PID ORC OBR OBX",
            "ORDERS(MSH PERSON(PID ORDER(ORC OBR OBSERVATION(OBX))) PERSON(PID ORDER(ORC OBR OBSERVATION(OBX))))",
        ),
        (
            "ORDERS",
            "MSH PID ORC TQ1 OBR NTE OBX TQ1 ORC TQ1 RXE TQ1 RXR",
            (
                "ORDERS(MSH PERSON(PID ORDER(ORC OBR NTE TIMING(TQ1) OBSERVATION(OBX) TIMING(TQ1)) "
                "ORDER(ORC TIMING(TQ1) ENCODED(RXE RXR TIMING(TQ1)))))"
            ),
        ),
        (
            "PROBLEMS",
            "MSH PID PRB NTE ROL VAR OBX PRB GOL NTE OBX",
            (
                "PROBLEMS(MSH PERSON(PID PROBLEM(PRB NTE ROL VAR OBSERVATION(OBX)) "
                "PROBLEM(PRB GOAL(GOL NTE OBSERVATION(OBX)))))"
            ),
        ),
        (
            "SCHEDULE",
            "MSH SCH PID PV1 RGS AIS NTE AIP AIL RGS AIP",
            (
                "SCHEDULE(MSH SCH PERSON(PID VISIT(PV1)) RESOURCES(RGS SERVICE(AIS NTE) PERSONNEL(AIP) PLACE(AIL)) "
                "RESOURCES(RGS PERSONNEL(AIP)))"
            ),
        ),
        (
            "ADT",
            "MSH EVN PID ROL NK1 PV1 PV2 ROL OBX AL1 DG1 PR1 ROL IN1 IN2 IN1 ZYB",
            (
                "ADT(MSH EVN PID ROL NK1 AL1 DG1 VISIT(PV1 PV2 ROL) OBSERVATION(OBX) PROCEDURE(PR1 ROL) "
                "INSURANCE(IN1 IN2) INSURANCE(IN1 ZYB))"
            ),
        ),
        ("MERGE", "MSH EVN PID MRG PID MRG PV1", "MERGE(MSH EVN PAIR(PID MRG) PAIR(PID MRG PV1))"),
        (
            "SPECIMENS",
            "MSH PID SPM OBX SAC OBR ORC OBX NTE SPM OBR OBX",
            (
                "SPECIMENS(MSH PERSON(PID TESTED(SPM SAC OBSERVATION(OBX) ORDER(OBR ORC OBSERVATION(OBX NTE))) "
                "TESTED(SPM ORDER(OBR OBSERVATION(OBX)))))"
            ),
        ),
    ],
)
def test_a_repeating_group_hangs_on_its_parent(structure: str, segments: str, expected: str) -> None:
    assert grouped(structure, segments) == (expected, [])


def test_a_segment_that_its_structure_does_not_know_goes_to_the_group_it_begins_and_is_told() -> None:
    assert grouped("ADT", "MSH PID DG1 FT1 PR1 OBR OBX") == (
        "ADT(MSH PID DG1 CHARGE(FT1 PROCEDURE(PR1)) REPORT(OBR OBSERVATION(OBX)))",
        ["FT1", "OBR"],
    )


def test_an_unknown_segment_stays_with_the_group_before_it() -> None:
    assert grouped("ORDERS", "MSH PID OBR OBX RXR NTE") == (
        "ORDERS(MSH PERSON(PID ORDER(OBR OBSERVATION(OBX RXR NTE))))",
        ["RXR"],
    )


def test_every_event_has_a_structure() -> None:
    lines = (TABLES / "events.csv").read_text("utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert {row["structure"] for row in rows} <= set(shapes())
    assert len(rows) > 100


@pytest.mark.parametrize("structure", sorted(shapes()))
def test_no_order_of_segments_loses_one(structure: str) -> None:
    names = re.findall("...", "PIDOBXORCRXENTESPMOBRDG1PV1IN2IN1RXRPRBAISSCHTQ1MRGROLFT1RXATXAOBX")
    for start in range(len(names)):
        turned = names[start:] + names[:start]
        lines = [Line("MSH", "MSH|^~\\&|HIS", 1), *(Line(name, f"{name}|1", at) for at, name in enumerate(turned, 2))]
        root, _ = tree(Message(lines, "utf-8"), structure)
        found = [segment.line for group in root.walk() for segment in group.segments]
        assert sorted(found) == list(range(1, len(lines) + 1))
