"""CDA documents end to end: converted, sent to a server in a process of its own, found again by search."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from adapters.delivery import Delivery, Target
from tests import servers
from tests.feeds.cases.cda_builder import (
    NAMES,
    SAMPLES,
    Resource,
    convert_one,
    document,
    observation,
    one,
    references,
    sample,
    section,
    st,
)

BROKEN = "discharge_summary_not_well_formed.xml"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.tiercare(tmp_path_factory.mktemp("cda")) as server:
        yield server.base


@pytest.fixture(scope="module")
def target(base: str) -> Iterator[Target]:
    found = Target(base)
    yield found
    found.close()


@pytest.fixture(scope="module")
def delivered(target: Target) -> dict[str, Delivery]:
    """Every sample, sent once."""
    return {path.name: target.deliver(sample(path.name)) for path in sorted(SAMPLES.glob("*.xml"))}


def search(base: str, query: str) -> list[Resource]:
    answer = httpx.get(f"{base}/{query}", timeout=30)
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", [])]


def test_every_sample_is_stored(delivered: dict[str, Delivery]) -> None:
    assert {name: (d.status, d.problems) for name, d in delivered.items()} == {n: ("stored", []) for n in delivered}
    assert len(delivered) == len(NAMES) + 1


def test_sent_again_nothing_changes(target: Target, delivered: dict[str, Delivery]) -> None:
    for name in delivered:
        assert set(target.deliver(sample(name)).counts()) == {"unchanged"}, name


def test_a_discharge_is_found_by_patient_visit_diagnosis_and_plan(base: str, delivered: dict[str, Delivery]) -> None:
    card = "urn:oid:2.16.156.10011.1.3|370102195103140028"
    (patient,) = search(base, f"Patient?identifier={card}")
    subject = f"Patient/{patient['id']}"
    (visit,) = search(base, f"Encounter?subject={subject}&identifier=ZY0240317")
    assert visit["subject"]["reference"] == subject
    assert len(search(base, f"Condition?subject={subject}&category=encounter-diagnosis")) == 4
    (plan,) = search(base, f"CarePlan?subject={subject}")
    assert plan["encounter"]["reference"] == f"Encounter/{visit['id']}"
    (composition,) = search(base, f"Composition?subject={subject}&type=http://loinc.org|18842-5")
    assert composition["title"] == "出院记录"


def test_a_referral_is_found_by_its_receiver(base: str, delivered: dict[str, Delivery]) -> None:
    (hospital,) = search(base, "Organization?identifier=urn:oid:2.16.156.10011.1.5|99000000A")
    (request,) = search(base, f"ServiceRequest?performer=Organization/{hospital['id']}")
    assert request["reasonCode"] == [{"text": "胸痛发作频繁，需进一步行冠脉造影检查"}]


@pytest.mark.parametrize("name", NAMES)
def test_the_stored_document_is_the_one_that_was_made(base: str, delivered: dict[str, Delivery], name: str) -> None:
    made = one(sample(name), "Bundle")
    stored = httpx.get(f"{base}/Bundle/{made['id']}", timeout=30).json()
    assert set(references(stored)) == set(references(made))
    assert [entry["fullUrl"] for entry in stored["entry"]] == [entry["fullUrl"] for entry in made["entry"]]


def test_money_in_the_store_keeps_its_digits(base: str, delivered: dict[str, Delivery]) -> None:
    answer = httpx.get(f"{base}/Observation?code=HDSD00.11.142", timeout=30)
    assert '"value":18320.50' in answer.text.replace(" ", "")


def test_a_document_that_is_not_well_formed_is_only_a_raw_document_with_its_place(
    base: str, delivered: dict[str, Delivery]
) -> None:
    assert {written.type for written in delivered[BROKEN].written} == {"Binary", "DocumentReference"}
    (document_id,) = [w.url for w in delivered[BROKEN].written if w.type == "DocumentReference"]
    kept = httpx.get(f"{base}/DocumentReference/{document_id.split('/')[-1]}", timeout=30).json()
    assert "line 164, column 35" in kept["description"]


def test_a_refused_document_leaves_nothing_of_itself_behind(base: str, target: Target) -> None:
    wrong = observation("DE06.00.092.00", '<value xsi:type="TS" value="20240230"/>', "入院日期时间")
    right = observation("DE04.10.258.00", st("不该留下的内容"), "检查")
    content = document(section("11535-2", right, wrong)).decode().replace("ZY001", "ZY-REFUSED")
    delivery = target.deliver(convert_one(content.encode()))
    assert {written.type for written in delivery.written} == {"Binary", "DocumentReference"}
    assert search(base, "Encounter?identifier=ZY-REFUSED") == []


def test_every_real_document_is_stored_and_twice_changes_nothing(target: Target) -> None:
    folder = os.environ.get("TIERCARE_SAMPLES")
    if not folder:
        pytest.skip("10 CDA documents not sent: TIERCARE_SAMPLES names no folder of samples")
    paths = [
        path for name in ("cda-wst500", "cda-regional-2011") for path in sorted((Path(folder) / name).glob("*.xml"))
    ]
    assert len(paths) == 10
    for path in paths:
        delivery = target.deliver(convert_one(path.read_bytes()))
        assert (delivery.status, delivery.problems) == ("stored", []), path.name
    for path in paths:
        assert set(target.deliver(convert_one(path.read_bytes())).counts()) == {"unchanged"}, path.name
