"""What is measured: a table of scenarios, each a pool of prepared requests and a check of what an answer means.

Reads and searches use the first half of the patients and writes the other, so that a fast writer does not make its own
searches heavier. Every write carries MARK, replaced by a new number each time it is sent, so no write repeats.
"""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

from bench import records
from bench.records import PATIENT_NO, REFERRAL_NO, REFERRALS, SNOMED, Resource, Stay
from bench.wire import Address

MARK = b"MARKmark"  # as long as the numbers that replace it
_numbers = itertools.count(10_000_000)


def fresh(request: bytes) -> bytes:
    """The request with a number of its own."""
    return request.replace(MARK, b"%08d" % next(_numbers)) if MARK in request else request


def dumps(resource: Resource) -> bytes:
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()


class Stored(NamedTuple):
    """A resource that the load stored, and the number of its patient (-1: none)."""

    id: str
    patient: int


@dataclass(slots=True)
class World:
    """What one server holds after the load, and how it is asked."""

    address: Address
    seed: str
    patients: int
    stored: dict[str, list[Stored]] = field(default_factory=dict)
    random: Random = field(default_factory=lambda: Random(7))

    def keep(self, type: str, id: str, patient: int) -> None:
        self.stored.setdefault(type, []).append(Stored(id, patient))

    def links(self, type: str) -> list[str]:
        return [f"{type}/{one.id}" for one in self.stored[type]]

    def stay(self, n: int, mark: str = "") -> Stay:
        return Stay(self.seed, n, self.links("Organization"), self.links("Practitioner"), mark)

    def pick(self, type: str, low: float, high: float) -> Stored:
        """A stored resource of the patients between these parts of all."""
        while True:
            found = self.random.choice(self.stored[type])
            if low * self.patients <= found.patient < high * self.patients:
                return found

    def read(self, type: str) -> Stored:
        return self.pick(type, 0, 0.5)

    def new(self) -> tuple[Stay, str, str]:
        """A stay that nobody has, for a patient and an encounter that are there."""
        stay = self.stay(next(_numbers), MARK.decode())
        return stay, "Patient/" + self.pick("Patient", 0.5, 1).id, "Encounter/" + self.pick("Encounter", 0.5, 1).id

    def get(self, path: str) -> bytes:
        return self.address.request("GET", path)

    def send(self, method: str, path: str, resource: Resource, headers: str = "") -> bytes:
        return self.address.request(method, path, dumps(resource), headers)


# ---------------------------------------------------------------------------------------------------- the requests
def _token(system: str, value: str) -> str:
    return quote(f"{system}|{value}", safe=":/")


def _metadata(world: World) -> bytes:
    return world.get("metadata")


def _read(world: World) -> bytes:
    type = world.random.choice(("Patient", "ServiceRequest", "Observation", "Composition"))
    return world.get(f"{type}/{world.read(type).id}")


def _vread(world: World) -> bytes:
    type = world.random.choice(("Condition", "Encounter", "MedicationStatement"))
    return world.get(f"{type}/{world.read(type).id}/_history/1")


def _identifier(world: World) -> bytes:
    value = f"P{world.read('Patient').patient:08d}-0"
    return world.get(f"Patient?identifier={_token(PATIENT_NO, value)}")


def _subject(world: World) -> bytes:
    return world.get(f"ServiceRequest?subject=Patient/{world.read('Patient').id}")


def _name(world: World) -> bytes:
    name = world.stay(world.read("Patient").patient).name
    return world.get(f"Patient?name={quote(name[:2])}&_count=20")


def _include(world: World) -> bytes:
    return world.get(f"ServiceRequest?_id={world.read('ServiceRequest').id}&_include=ServiceRequest:subject")


def _status_and_code(world: World) -> bytes:
    status, code = world.random.choice(("active", "completed")), world.random.choice(REFERRALS)[0]
    return world.get(f"ServiceRequest?status={status}&code={_token(SNOMED, code)}&_count=20")


def _by_date(world: World) -> bytes:
    day = world.stay(next(_numbers))._day()
    return world.get(f"Observation?date=ge{day}&date=lt{day + timedelta(30)}&_sort=-date&_count=20")


def _create(world: World) -> bytes:
    stay, patient, encounter = world.new()
    make = world.random.choice((lambda *_: stay.patient(), stay.observation, stay.referral))
    resource = make(patient, encounter)
    return world.send("POST", resource["resourceType"], resource)


def _update_all(world: World) -> bytes:
    """Nearly every value is another than before: patient, times, codes, identifiers."""
    stay, patient, encounter = world.new()
    type = world.random.choice(("ServiceRequest", "Observation"))
    resource = (stay.referral if type == "ServiceRequest" else stay.observation)(patient, encounter)
    resource["id"] = world.pick(type, 0.5, 0.7).id
    return world.send("PUT", f"{type}/{resource['id']}", resource)


def _update_edit(world: World) -> bytes:
    """What an application does: the same referral with another status, priority and note."""
    target = world.pick("ServiceRequest", 0.7, 0.8)
    resource = world.stay(target.patient).referral("Patient/edited", "Encounter/edited")
    resource |= {"id": target.id, "status": world.random.choice(("active", "completed", "on-hold"))}
    resource |= {"priority": world.random.choice(("routine", "urgent")), "note": [{"text": MARK.decode()}]}
    return world.send("PUT", f"ServiceRequest/{target.id}", resource)


def _conditional_create(world: World) -> bytes:
    """Half of them find a resource, half create one."""
    stay, patient, encounter = world.new()
    resource = stay.referral(patient, encounter)
    if world.random.random() < 0.5:
        resource["identifier"][0]["value"] = f"Z{world.pick('Patient', 0.8, 1).patient:08d}-0"
    criteria = f"{REFERRAL_NO}|{resource['identifier'][0]['value']}"
    return world.send("POST", "ServiceRequest", resource, f"If-None-Exist: identifier={criteria}\r\n")


def _conditional_update(world: World) -> bytes:
    stay, patient, encounter = world.new()
    resource, value = stay.referral(patient, encounter), f"Z{world.pick('Patient', 0.8, 1).patient:08d}-1"
    resource["identifier"][0]["value"] = value
    return world.send("PUT", f"ServiceRequest?identifier={_token(REFERRAL_NO, value)}", resource)


def _transaction(world: World) -> bytes:
    stay, patient, _ = world.new()
    return world.send("POST", "", records.transaction(stay.discharge(patient)))


def _mixed(world: World) -> bytes:
    """70 reads, 20 searches of six kinds, 10 writes of two kinds."""
    turn = world.random.random()
    if turn < 0.7:
        return _read(world)
    if turn < 0.9:
        return world.random.choice((_identifier, _subject, _name, _include, _status_and_code, _by_date))(world)
    return world.random.choice((_create, _update_all))(world)


# ------------------------------------------------------------------------------------------------------- the checks
Check = Callable[[int, Any], str]
"""(status, body as JSON) -> what is wrong with the answer, '' when it is right."""


def _good(status: int, _: Any) -> str:
    return "" if status in (200, 201) else f"status {status}"


def _hits(least: int, most: int, *types: str) -> Check:
    def check(status: int, body: Any) -> str:
        if status != 200:
            return f"status {status}"
        found = [entry["resource"]["resourceType"] for entry in body.get("entry", ())]
        if not least <= len(found) <= most:
            return f"{len(found)} entries, not {least} to {most}"
        return "" if set(types) <= set(found) else f"{', '.join(types)} wanted, {set(found)} found"

    return check


def _sorted(status: int, body: Any) -> str:
    dates = [entry["resource"]["effectiveDateTime"] for entry in body.get("entry", ())] if status == 200 else []
    wrong = _hits(20, 20, "Observation")(status, body)
    return wrong or ("" if dates == sorted(dates, reverse=True) else "not in the order asked for")


def _fifteen_created(status: int, body: Any) -> str:
    made = [entry["response"]["status"][:3] for entry in body.get("entry", ())] if status == 200 else []
    return "" if made == ["201"] * 15 else f"status {status}, entries {made}"


class Scenario(NamedTuple):
    name: str
    request: Callable[[World], bytes]
    check: Check
    pool: int = 600  # requests prepared before the clock runs
    weight: int = 1  # resources that a request writes


SCENARIOS: Sequence[Scenario] = (
    Scenario("read", _read, _good, 2000),
    Scenario("vread", _vread, _good, 2000),
    Scenario("search identifier", _identifier, _hits(1, 1, "Patient"), 2000),
    Scenario("search subject reference", _subject, _hits(2, 200, "ServiceRequest"), 2000),
    Scenario("search name prefix", _name, _hits(1, 20, "Patient")),
    Scenario("search _include", _include, _hits(2, 2, "ServiceRequest", "Patient"), 2000),
    Scenario("search status + code, 20 hits", _status_and_code, _hits(20, 20, "ServiceRequest")),
    Scenario("search date range sorted, 20 hits", _by_date, _sorted),
    Scenario("create", _create, _good),
    Scenario("update, all values new", _update_all, _good),
    Scenario("update, an edit", _update_edit, _good),
    Scenario("conditional create, half found", _conditional_create, _good),
    Scenario("conditional update", _conditional_update, _good),
    Scenario("transaction of 15", _transaction, _fifteen_created, 200, 15),
    Scenario("mixed 70/20/10", _mixed, _good, 2000),
    Scenario("metadata", _metadata, _good, 1),
)
