"""Regional messages and the real server: it takes whatever the mapping makes, and what it refuses is kept raw."""

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.delivery import Target
from adapters.kit.codes import table
from adapters.regional_json import ADAPTER
from adapters.runner import Conversion, convert
from tests.servers import free_port, running

RECORDED = "2026-01-01T00:00:00Z"
SAMPLES = files("adapters") / "samples" / "regional"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder, port = tmp_path_factory.mktemp("refused"), free_port()
    command = [sys.executable, "-m", "server", "serve", "--port", str(port), "--data", str(folder / "data")]
    with running(command, port, folder / "log.txt"):
        found = Target(f"http://127.0.0.1:{port}/fhir")
        yield found
        found.close()


def of(row: dict[str, Any]) -> Conversion:
    (conversion,) = convert(json.dumps(row).encode(), "x.json", ADAPTER, RECORDED)
    return conversion


def test_what_the_server_refuses_is_kept_raw_and_nothing_else_is_written(target: Target) -> None:
    row = json.loads((SAMPLES / "bsoft_up_referral.json").read_bytes()) | {"reserveNo": "REFUSED1"}
    conversion = of(row)
    transaction = json.loads(json.dumps(conversion.transaction))
    task = next(e["resource"] for e in transaction["entry"] if e["resource"]["resourceType"] == "Task")
    task["status"] = "undecided"
    before = target.count("ServiceRequest"), target.count("Patient")
    delivery = target.deliver(replace(conversion, transaction=transaction))
    assert delivery.status == "refused"
    assert [entry.type for entry in delivery.written] == ["Binary", "DocumentReference"]
    assert any("status" in problem.field for problem in delivery.problems)
    assert (target.count("ServiceRequest"), target.count("Patient")) == before
    document = httpx.get(delivery.written[1].url).json()
    assert document["description"].startswith("not converted: ")
    raw = httpx.get(delivery.written[0].url, headers={"accept": "application/fhir+json"})
    assert raw.json()["data"]
    assert target.deliver(conversion).status == "stored"  # after the fault is mended


def test_a_message_sent_twice_changes_nothing_the_second_time(target: Target) -> None:
    for name in ("bsoft_return_report.json", "bsoft_up_referral.json", "inpatient_referral.json"):
        (conversion,) = convert((SAMPLES / name).read_bytes(), name, ADAPTER, RECORDED)
        target.deliver(conversion)
        (later,) = convert((SAMPLES / name).read_bytes(), name, ADAPTER, "2027-01-01T00:00:00Z")
        assert set(target.deliver(later).counts()) == {"unchanged"}


def test_a_corrected_message_updates_the_referral_and_leaves_the_people(target: Target) -> None:
    row = json.loads((SAMPLES / "bsoft_up_referral.json").read_bytes()) | {"reserveNo": "CORRECTED1"}
    target.deliver(of(row))
    changes = {(w.type, w.change) for w in target.deliver(of(row | {"turnReason": "改为择期转诊"})).written}
    assert ("ServiceRequest", "updated") in changes and ("Patient", "unchanged") in changes
    assert ("Binary", "created") in changes


def test_a_number_that_fits_two_patients_is_refused_with_the_reason_and_kept_raw(target: Target) -> None:
    row = json.loads((SAMPLES / "bsoft_up_referral.json").read_bytes()) | {"cardNo": "FAMILY-CARD", "cardTypeCode": "3"}
    for number, id_card in (("TWO1", "429900195603140175"), ("TWO2", "429900194811020288")):
        assert target.deliver(of(row | {"reserveNo": number, "idCard": id_card})).status == "stored"
    delivery = target.deliver(of(row | {"reserveNo": "TWO3", "idCard": ""}))
    assert delivery.status == "refused"
    assert "more than one" in delivery.problems[0].text
    assert [entry.type for entry in delivery.written] == ["Binary", "DocumentReference"]


def sample_rows() -> dict[str, dict[str, Any]]:
    """A good row of every layout."""
    rows = {}
    for name, layout in (("bsoft_up_referral", "DR_Referrals"), ("bsoft_return_report", "drIt_sendExchangeReport")):
        rows[layout] = json.loads((SAMPLES / f"{name}.json").read_bytes())
    for name in ("outpatient_referral", "inpatient_referral"):
        for layout, found in json.loads((SAMPLES / f"{name}.json").read_bytes()).items():
            rows[layout] = found[0]
    text = (SAMPLES / "treatment_referral.gb18030.csv").read_bytes().decode("gb18030")
    rows["treatment_referral"] = next(csv.DictReader(text.splitlines(keepends=True)))
    return rows


ROWS = sample_rows()
DATES = ("2026-03-10", "2026/3/1 9:30", "20260310093000", "2026年3月", "2026", "0000-00-00")
cell = (
    st.text(max_size=40)
    | st.sampled_from(["0", "1", "2", "02", "99", "-", " a  b\n c ", "<div>&amp;</div>", "x" * 300, "𠮷\u200b\ufeff"])
    | st.sampled_from(DATES)
)


# Numbers of patients stay as they are: the same odd number on many patients is a conflict, tested on its own above.
NUMBERS = {"patient.id_card", "patient.card", "patient.local"}


@st.composite
def odd_rows(draw: st.DrawFn) -> dict[str, Any]:
    layout = draw(st.sampled_from(sorted(ROWS)))
    roles = table("adapters.regional_json", layout)
    columns = sorted(column for column, (_, role, *_) in roles.items() if role not in NUMBERS)
    return ROWS[layout] | draw(st.dictionaries(st.sampled_from(columns), cell, max_size=6))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=odd_rows())
def test_the_server_takes_whatever_the_mapping_makes_of_a_row(target: Target, row: dict[str, Any]) -> None:
    delivery = target.deliver(of(row))
    assert delivery.status == "stored", delivery.problems
