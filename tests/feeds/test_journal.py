"""The journal and its engine, with destinations that do as they are told and a clock that tests move."""

import asyncio
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import Problem
from adapters.delivery import Delivery, Written
from adapters.engine import review
from adapters.engine.engine import Arrival, Engine
from adapters.engine.journal_file import JournalError, JournalFull
from adapters.engine.lanes import Retry
from adapters.engine.review import Wanted
from adapters.runner import Conversion
from tests.gateways import SOURCE, engine_on

DAY = 86400.0


def adt(number: str = "1", patient: str = "P1", sent: str = "20260301080000", name: str = "Zhang^San") -> bytes:
    """An admission; `number` is MSH-10, '' for none."""
    return (
        f"MSH|^~\\&|HIS|HOSPITAL|||{sent}||ADT^A01|{number}|P|2.4\r"
        f"PID|1||{patient}^^^HOSPITAL||{name}||19800101|F\r"
        f"PV1|1|I|WARD^1^2||||||||||||||||V{patient}|||||||||||||||||||||||||20260301070000\r"
        "DG1|1||I10^Hypertension^I10\r"
    ).encode()


def number_of(conversion: Conversion) -> str:
    return str(conversion.parsed.record.header.raw(10))


@dataclass
class Server:
    """A destination: `answers` is asked what becomes of each message; None = stored."""

    base: str = "http://fhir.example/fhir"
    answers: Callable[[Conversion], Delivery | None] = lambda conversion: None
    seen: list[Conversion] = field(default_factory=list)

    def deliver(self, conversion: Conversion) -> Delivery:
        answer = self.answers(conversion)
        if answer is not None:
            return answer
        self.seen.append(conversion)
        written = [Written(e["resource"]["resourceType"], "x", "created") for e in conversion.transaction["entry"]]
        return Delivery("stored", written)

    def close(self) -> None:
        pass

    @property
    def numbers(self) -> list[str]:
        return [number_of(conversion) for conversion in self.seen]


def away(conversion: Conversion) -> Delivery:
    return Delivery("again", problems=[Problem("error", "transient", "nobody there")], reached=False)


def fault(conversion: Conversion) -> Delivery:
    return Delivery("again", problems=[Problem("error", "exception", "500")], reached=True)


class Clock:
    def __init__(self) -> None:
        self.now = 1_772_352_000.0  # 2026-03-01 08:00 UTC

    def __call__(self) -> float:
        return self.now


async def turn(engine: Engine) -> None:
    """Maps and delivers all that is due now; nothing waits for real time."""
    while await engine.map_received():
        pass
    for _ in range(1000):
        for lane in engine.lanes.values():
            await lane.idle()
        if not any([await lane.sweep() for lane in engine.lanes.values()]):
            return
    raise AssertionError("it never ends")


async def take(engine: Engine, *contents: bytes) -> list[Arrival]:
    return [arrival for content in contents for arrival in await engine.take(SOURCE, content)]


def states(engine: Engine) -> dict[int, str]:
    return {row["id"]: row["state"] for row in reversed(review.rows(engine.journal.file, Wanted(), 1000))}


def still(folder: Path, *servers: Server, **more: Any) -> Any:
    """An engine that does nothing by itself, and one thing after another."""
    return engine_on(folder, *servers, **{"ack": "stored", "started": False, "parallel": 1, **more})


# ------------------------------------------------------------------------------------------------ exactly once
async def test_a_message_sent_again_is_not_taken_again_whatever_its_time_of_sending(tmp_path: Path) -> None:
    server = Server()
    async with still(tmp_path, server) as engine:
        (first,) = await take(engine, adt())
        await turn(engine)
        again, later = await take(engine, adt(), adt(sent="20260301080500"))
        await turn(engine)
        assert [one.taken.id for one in (first, again, later)] == [1, 1, 1]
        assert (first.taken.fresh, again.taken.fresh, later.taken.state) == (True, False, "delivered")
        assert (server.numbers, states(engine)) == (["1"], {1: "delivered"})
        assert review.rows(engine.journal.file, Wanted(), 1)[0]["arrivals"] == 3


async def test_the_same_message_twice_in_one_content_is_one_message(tmp_path: Path) -> None:
    server = Server()
    async with still(tmp_path, server) as engine:
        assert [one.taken.id for one in await take(engine, adt() + adt() + adt("2"))] == [1, 1, 2]
        await turn(engine)
        assert server.numbers == ["1", "2"]


async def test_a_correction_takes_the_place_of_a_message_that_is_not_delivered_yet(tmp_path: Path) -> None:
    server = Server()
    async with still(tmp_path, server) as engine:
        await take(engine, adt(name="Wrong^Name"), adt(name="Right^Name", sent="20260301080100"))
        await turn(engine)
        assert states(engine) == {1: "replaced", 2: "delivered"}
        assert [b"Right" in one.parsed.raw for one in server.seen] == [True]


async def test_a_correction_of_a_delivered_message_is_delivered_and_the_first_one_never_again(tmp_path: Path) -> None:
    server = Server()
    async with still(tmp_path, server) as engine:
        await take(engine, adt(name="Wrong^Name"))
        await turn(engine)
        await take(engine, adt(name="Right^Name", sent="20260301080100"))
        await turn(engine)
        (again,) = await take(engine, adt(name="Wrong^Name"))
        await turn(engine)
        assert again.taken.state == "replaced"
        assert (states(engine), len(server.seen)) == ({1: "replaced", 2: "delivered"}, 2)
        review.replay(engine.journal.file, Wanted(ids=[1]), 0)
        await turn(engine)
        assert (states(engine), len(server.seen)) == ({1: "replaced", 2: "delivered"}, 2)


async def test_a_value_that_is_corrected_back_is_a_message_of_its_own(tmp_path: Path) -> None:
    server = Server()
    async with still(tmp_path, server) as engine:
        for sent, name in (("080000", "A^B"), ("080100", "C^D"), ("080200", "A^B")):
            await take(engine, adt(name=name, sent=f"20260301{sent}"))
            await turn(engine)
        assert states(engine) == {1: "replaced", 2: "replaced", 3: "delivered"}


async def test_a_number_that_is_used_again_for_another_patient_is_no_correction(tmp_path: Path) -> None:
    server = Server()
    async with still(tmp_path, server) as engine:
        await take(engine, adt(patient="P1"), adt(patient="P2"))
        await turn(engine)
        assert states(engine) == {1: "delivered", 2: "delivered"}


async def test_messages_without_a_number_correct_nothing(tmp_path: Path) -> None:
    server = Server()
    async with still(tmp_path, server) as engine:
        await take(engine, adt("", name="A^B"), adt("", name="C^D"))
        await turn(engine)
        assert states(engine) == {1: "delivered", 2: "delivered"}


async def test_replay_of_a_success_sends_nothing(tmp_path: Path) -> None:
    server = Server()
    async with still(tmp_path, server) as engine:
        await take(engine, adt(), adt("2", "P2"))
        await turn(engine)
        assert review.replay(engine.journal.file, Wanted(state="delivered"), 0) == [1, 2]
        assert states(engine) == {1: "received", 2: "received"}
        await turn(engine)
        assert (server.numbers, states(engine)) == (["1", "2"], {1: "delivered", 2: "delivered"})
        review.replay(engine.journal.file, Wanted(ids=[2]), 0, force=True)
        await turn(engine)
        assert server.numbers == ["1", "2", "2"]


async def test_replay_after_a_map_was_mended_sends_what_it_makes_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapters.hl7v2 import Hl7v2

    right, server = Hl7v2.map, Server()

    def wrong(self: Hl7v2, record: Any) -> Any:
        mapped = right(self, record)
        for item in mapped.items:
            item.resource.pop("gender", None)
        return mapped

    def genders() -> list[str | None]:
        patients = [e["resource"] for one in server.seen for e in one.transaction["entry"]]
        return [patient.get("gender") for patient in patients if patient["resourceType"] == "Patient"]

    async with still(tmp_path, server) as engine:
        monkeypatch.setattr(Hl7v2, "map", wrong)
        await take(engine, adt())
        await turn(engine)
        monkeypatch.setattr(Hl7v2, "map", right)
        review.replay(engine.journal.file, Wanted(ids=[1]), 0)
        await turn(engine)
    assert genders() == [None, "female"]


# ---------------------------------------------------------------------------------------------------- dead letters
async def test_what_cannot_be_mapped_is_a_dead_letter_with_its_place_and_its_bytes_go_out(tmp_path: Path) -> None:
    server = Server()
    async with still(tmp_path, server) as engine:
        await take(engine, adt().replace(b"19800101", b"20230230"))
        await turn(engine)
        (row,) = review.rows(engine.journal.file, Wanted(state="dead"), 10)
        assert (row["field"], row["line"]) == ("PID-7", 2) and "2023" in row["reason"]
        assert [e["resource"]["resourceType"] for e in server.seen[0].transaction["entry"]] == [
            "Binary",
            "DocumentReference",
        ]


async def test_a_refused_message_is_a_dead_letter_and_stops_nobody(tmp_path: Path) -> None:
    def no(conversion: Conversion) -> Delivery | None:
        problem = Problem("error", "invalid", "no such code", "Bundle.entry[3]")
        return Delivery("refused", problems=[problem]) if number_of(conversion) == "1" else None

    server = Server(answers=no)
    async with still(tmp_path, server) as engine:
        await take(engine, adt("1"), adt("2"))
        await turn(engine)
        assert (states(engine), server.numbers) == ({1: "dead", 2: "delivered"}, ["2"])
        (row,) = review.rows(engine.journal.file, Wanted(ids=[1]), 10)
        assert (row["reason"], row["field"]) == ("no such code", "Bundle.entry[3]")
        server.answers = lambda conversion: None
        (again,) = await take(engine, adt("1"))
        await turn(engine)
        assert (again.taken.id, again.taken.state) == (1, "received")
        assert (states(engine), server.numbers) == ({1: "delivered", 2: "delivered"}, ["2", "1"])


@pytest.mark.parametrize("step", ["parse", "map", "bundle", "identify"])
async def test_a_mistake_in_an_adapter_makes_a_dead_letter_and_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    from adapters.hl7v2 import Hl7v2

    right = getattr(Hl7v2, step)

    def wrong(self: Hl7v2, *arguments: Any) -> Any:
        if any(b"Break^Me" in (one if isinstance(one, bytes) else getattr(one, "raw", b"")) for one in arguments) or (
            step == "map" and "Break^Me" in "".join(line.text for line in arguments[0].lines)
        ):
            raise RuntimeError("broken")
        return right(self, *arguments)

    server = Server()
    async with still(tmp_path, server) as engine:
        monkeypatch.setattr(Hl7v2, step, wrong)
        await take(engine, adt("1", "A", name="Break^Me"), adt("2", "B"))
        await turn(engine)
        assert states(engine) == {1: "dead" if step != "identify" else "delivered", 2: "delivered"}
        monkeypatch.setattr(Hl7v2, step, right)
        review.replay(engine.journal.file, Wanted(ids=[1]), 0)
        await turn(engine)
        assert states(engine) == {1: "delivered", 2: "delivered"}


async def test_a_mistake_while_sending_is_tried_again_and_stops_nobody(tmp_path: Path) -> None:
    def broken(conversion: Conversion) -> None:
        if number_of(conversion) == "1":
            raise RuntimeError("broken")

    clock, server = Clock(), Server(answers=broken)
    async with still(tmp_path, server, clock=clock) as engine:
        await take(engine, adt("1", "A"), adt("2", "B"))
        await turn(engine)
        assert (states(engine), server.numbers) == ({1: "mapped", 2: "delivered"}, ["2"])
        server.answers = lambda one: None
        clock.now += 60
        await turn(engine)
        assert states(engine) == {1: "delivered", 2: "delivered"}


async def test_the_charset_of_a_source_is_a_hint_that_the_bytes_overrule(tmp_path: Path) -> None:
    from adapters.kit.habits import Habits

    server = Server()
    async with still(tmp_path, server, habits=Habits(charset="gb18030")) as engine:
        for number, charset in enumerate(("utf-8", "gb18030")):
            await engine.take(SOURCE, adt(str(number), f"P{number}", name="宋^珅").decode().encode(charset))
        await turn(engine)
        for one, warned in zip(sorted(server.seen, key=number_of), (1, 0), strict=True):
            (patient,) = observation(one, "Patient")
            assert patient["resource"]["name"][0]["text"] == "宋珅"
            assert sum("declared" in problem.text for problem in one.problems) == warned


async def test_bytes_that_no_adapter_reads_are_kept_as_a_dead_letter(tmp_path: Path) -> None:
    async with still(tmp_path, Server()) as engine:
        await engine.keep(SOURCE, b"what is this", "x.bin")
        await turn(engine)
        (row,) = review.rows(engine.journal.file, Wanted(), 10)
        assert row["state"] == "dead" and "no adapter recognises x.bin" in row["reason"]
        shown = review.message(engine.journal.file, row["id"])
        assert shown is not None and review.raw(engine.journal.file, shown["content"]["id"]) == b"what is this"


# ----------------------------------------------------------------------------------------------------------- order
async def test_messages_of_one_patient_keep_their_order_and_others_go_side_by_side(tmp_path: Path) -> None:
    gate, under_way, most = threading.Event(), 0, 0
    lock = threading.Lock()

    def slow(conversion: Conversion) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        gate.wait(10)
        with lock:
            under_way -= 1

    server = Server(answers=slow)
    async with still(tmp_path, server, parallel=3) as engine:
        await take(engine, *(adt(f"{patient}{n}", patient) for n in range(3) for patient in "ABC"))
        while await engine.map_received():
            pass
        (lane,) = engine.lanes.values()
        assert (await lane.sweep(), await lane.sweep()) == (3, 0)  # one of each patient
        async with asyncio.timeout(10):
            while most < 3:
                await asyncio.sleep(0.01)
        gate.set()
        await turn(engine)
    assert most == 3
    for patient in "ABC":
        assert [one for one in server.numbers if one[0] == patient] == [f"{patient}{n}" for n in range(3)]


async def test_a_message_that_must_wait_holds_back_its_own_patient_only(tmp_path: Path) -> None:
    clock = Clock()
    server = Server(answers=lambda one: fault(one) if number_of(one) == "A0" else None)
    async with still(tmp_path, server, clock=clock) as engine:
        await take(engine, adt("A0", "A"), adt("B0", "B"), adt("A1", "A"), adt("B1", "B"))
        await turn(engine)
        assert server.numbers == ["B0", "B1"]
        server.answers = lambda one: None
        await turn(engine)
        assert server.numbers == ["B0", "B1"], "it is not due yet"
        clock.now += 60
        await turn(engine)
        assert server.numbers == ["B0", "B1", "A0", "A1"]


async def test_a_message_of_two_patients_waits_for_both_and_both_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapters.contract import Item
    from adapters.hl7v2 import Hl7v2

    plain = Hl7v2.map

    def merging(self: Hl7v2, record: Any) -> Any:
        mapped = plain(self, record)
        if record.header.raw(10).startswith("merge"):  # what was known as B is A from now on
            other = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "B"}]}
            mapped.items.append(Item(f"{mapped.subject[:-1]}B", "shared", other))
        return mapped

    monkeypatch.setattr(Hl7v2, "map", merging)
    clock = Clock()
    server = Server(answers=lambda one: fault(one) if number_of(one) == "B0" else None)
    async with still(tmp_path, server, clock=clock) as engine:
        await take(engine, adt("B0", "B"), adt("merge", "A"), adt("A1", "A"), adt("B1", "B"), adt("C1", "C"))
        await turn(engine)
        assert server.numbers == ["C1"]
        server.answers = lambda one: None
        clock.now += 60
        await turn(engine)
        assert server.numbers[:3] == ["C1", "B0", "merge"] and sorted(server.numbers[3:]) == ["A1", "B1"]


# ----------------------------------------------------------------------------------------------- older and newer
def observation(conversion: Conversion, type: str) -> list[dict[str, Any]]:
    return [e for e in conversion.transaction["entry"] if e["resource"]["resourceType"] == type]


async def test_an_older_message_never_overwrites_a_newer_one(tmp_path: Path) -> None:
    server = Server()
    async with still(tmp_path, server) as engine:
        await take(engine, adt("2", sent="20260301090000", name="New^Name"))
        await turn(engine)
        await take(engine, adt("1", sent="20260301080000", name="Old^Name"))
        await turn(engine)
        assert states(engine) == {1: "delivered", 2: "delivered"}
        newer, older = server.seen
        assert (len(observation(newer, "Condition")), observation(older, "Condition")) == (1, [])
        for type in ("Patient", "Encounter"):
            (one,) = observation(older, type)
            assert one["request"]["method"] == "POST", "it only makes sure that there is one"
        links = str(older.transaction)
        condition = observation(newer, "Condition")[0]["resource"]["id"]
        assert f"urn:uuid:{condition}" not in links


async def test_a_dead_letter_replayed_late_does_not_overwrite_what_came_after_it(tmp_path: Path) -> None:
    server = Server(answers=lambda one: Delivery("refused") if number_of(one) == "1" else None)
    async with still(tmp_path, server) as engine:
        await take(engine, adt("1", sent="20260301080000"), adt("2", sent="20260301090000"))
        await turn(engine)
        server.answers = lambda one: None
        review.replay(engine.journal.file, Wanted(state="dead"), 0)
        await turn(engine)
        assert server.numbers == ["2", "1"]
        assert observation(server.seen[1], "Condition") == []


async def test_a_sender_whose_clock_is_ahead_does_not_stop_its_own_messages(tmp_path: Path) -> None:
    clock, server = Clock(), Server()
    async with still(tmp_path, server, clock=clock) as engine:
        await take(engine, adt("1", sent="20990101000000"))
        await turn(engine)
        clock.now += 3600
        await take(engine, adt("2", sent="20260301163001"))
        await turn(engine)
        assert len(observation(server.seen[1], "Condition")) == 1


# ------------------------------------------------------------------------------------------- destinations that fail
async def test_a_destination_that_is_down_for_days_gets_everything_in_order_and_the_other_does_not_wait(
    tmp_path: Path,
) -> None:
    clock, up, down = Clock(), Server(), Server(base="http://down.example/fhir")
    tries = 0

    def nobody(conversion: Conversion) -> Delivery:
        nonlocal tries
        tries += 1
        return away(conversion)

    down.answers = nobody
    retry = Retry()
    async with still(tmp_path, up, down, clock=clock, retry=retry) as engine:
        for hour in range(3 * 24):
            await take(engine, adt(f"a{hour:03}", "A"), adt(f"b{hour:03}", "B"))
            until = clock.now + 3600
            while clock.now < until:
                await turn(engine)
                clock.now += 300
        assert len(up.seen) == 144, "one dead destination never stops another"
        assert set(states(engine).values()) == {"mapped"}
        found = review.status(engine.journal.file, 0)["destinations"]
        assert [one["waiting"] for one in found] == [0, 144]
        assert found[1]["failures"] > 20 and "nobody there" in found[1]["problem"]
        assert tries <= 3 * 24 * 12 + 1, "it is asked with one message at a time, not with all that wait"
        down.answers = lambda conversion: None
        clock.now += retry.pause
        await turn(engine)
        assert len(down.seen) == 144, "all of it as soon as it answers"
        for patient in "ab":
            mine = [one for one in down.numbers if one[0] == patient]
            assert mine == sorted(mine)
        assert set(states(engine).values()) == {"delivered"}
        assert review.status(engine.journal.file, 0)["destinations"][1]["failures"] == 0


async def test_a_message_that_a_destination_cannot_digest_is_given_up_after_its_time(tmp_path: Path) -> None:
    clock = Clock()
    server = Server(answers=lambda one: fault(one) if number_of(one) == "bad" else None)
    async with still(tmp_path, server, clock=clock, retry=Retry(give_up=3 * DAY)) as engine:
        await take(engine, adt("bad", "A"))
        for n in range(4 * 24):
            await take(engine, adt(f"g{n}", "B"))
            await turn(engine)
            clock.now += 3600
        assert len(server.seen) == 4 * 24
        (row,) = review.rows(engine.journal.file, Wanted(state="dead"), 10)
        assert "given up after" in row["reason"] and "in 3 days: 500" in row["reason"]


def test_waits_double_up_to_the_longest() -> None:
    retry = Retry(first=1, longest=100)
    assert [retry.wait(n) for n in (1, 2, 3, 7, 8, 5000)] == [1, 2, 4, 64, 100, 100]


# ------------------------------------------------------------------------------------------------ leases and crashes
async def test_a_lease_that_nobody_ends_ends_by_itself(tmp_path: Path) -> None:
    clock, server = Clock(), Server()
    async with still(tmp_path, server, clock=clock, lease_seconds=300) as engine:
        await take(engine, adt())
        await engine.map_received()
        (claim,) = await engine.journal.claim("to0", 5, clock.now)
        await turn(engine)
        assert server.seen == []
        clock.now += 301
        await turn(engine)
        assert server.numbers == ["1"]
        from adapters.engine.records import Result

        assert not await engine.journal.settle(claim, Result("refused"), clock.now), "its lease has ended"
        assert states(engine) == {1: "delivered"}


async def test_a_restart_takes_up_what_was_leased_and_mapped_and_received(tmp_path: Path) -> None:
    clock, server = Clock(), Server()
    async with still(tmp_path, server, clock=clock) as engine:
        await take(engine, adt("1", "A"), adt("2", "B"))
        await engine.map_received()
        assert len(await engine.journal.claim("to0", 1, clock.now)) == 1
        await take(engine, adt("3", "C"))
    async with still(tmp_path, server, clock=clock) as engine:
        await turn(engine)
        assert sorted(server.numbers) == ["1", "2", "3"]
        assert set(states(engine).values()) == {"delivered"}


# ----------------------------------------------------------------------------------------------------- full, silent
async def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    async with still(tmp_path, Server()) as engine:
        file = engine.journal.file
        await take(engine, adt("1"))

        def limit(pages: int) -> None:
            file.submit(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchall()).result()

        limit(1)  # SQLite takes no less than what is used: every further page is one too many
        with pytest.raises(JournalFull, match="disk that holds the journal is full"):
            await take(engine, adt("2", name="x" * 100_000))
        assert states(engine) == {1: "received"}, "nothing of it is kept"
        limit(1_000_000)
        await take(engine, adt("2", name="x" * 100_000))
        await turn(engine)
        assert states(engine) == {1: "delivered", 2: "delivered"}


async def test_one_message_that_cannot_be_written_does_not_harm_those_beside_it(tmp_path: Path) -> None:
    async with still(tmp_path, Server()) as engine:
        file = engine.journal.file
        hold = threading.Event()
        first = file.submit(lambda db: hold.wait(10))  # the next ones gather for one commit
        good = asyncio.create_task(take(engine, adt("1")))
        await asyncio.sleep(0)
        bad = file.submit(lambda db: db.execute("INSERT INTO message (id) VALUES (1)"), durable=True)
        other = asyncio.create_task(take(engine, adt("2")))
        await asyncio.sleep(0)
        hold.set()
        first.result()
        await asyncio.gather(good, other)
        assert bad.exception() is not None
        assert set(states(engine).values()) == {"received"} and len(states(engine)) == 2


async def test_the_budget_refuses_what_does_not_fit_and_spares_what_is_not_delivered(tmp_path: Path) -> None:
    from adapters.engine.retention import Retention, tidy

    clock, server = Clock(), Server(answers=away)
    async with still(tmp_path, server, clock=clock, budget_bytes=2_000_000) as engine:
        taken = 0
        with pytest.raises(JournalFull, match="2000000"):
            for taken in range(200):
                await take(engine, adt(str(taken), name="x" * 30_000))
        assert 30 < taken < 70
        await turn(engine)
        assert await tidy(engine.journal, Retention(), clock.now + 999 * DAY) == 0
        server.answers = lambda one: None
        clock.now += 3600
        await turn(engine)
        assert len(server.seen) == taken
        clock.now += 1
        assert await tidy(engine.journal, Retention(), clock.now) > 0, "delivered ones make room"
        await take(engine, adt("last", name="x" * 30_000))


async def test_each_state_has_its_own_retention(tmp_path: Path) -> None:
    from adapters.engine.retention import Retention, tidy

    clock = Clock()
    server = Server(answers=lambda one: Delivery("refused") if number_of(one) == "dead" else None)
    async with still(tmp_path, server, clock=clock) as engine:
        await take(engine, adt("dead", "A"), adt("good", "B"))
        await turn(engine)
        await take(engine, adt("waits", "C"))
        keep = Retention({"delivered": 10 * DAY, "dead": 100 * DAY, "replaced": 10 * DAY})
        for days, left in ((9, 3), (2, 2), (85, 2), (5, 1), (1000, 1)):
            clock.now += days * DAY
            await tidy(engine.journal, keep, clock.now)
            assert len(states(engine)) == left, days
        assert states(engine) == {3: "received"}
        (count,) = engine.journal.file.read("SELECT count(*) FROM content")[0]
        assert count == 1, "the bytes go with their messages"


async def test_a_source_that_falls_silent_raises_one_alarm_until_it_speaks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    async with still(tmp_path, Server(), clock=clock, silence_after=600) as engine:

        def silent() -> bool:
            return bool(review.status(engine.journal.file, 0)["sources"][0]["silent_since"])

        await take(engine, adt("1"))
        for seconds, alarms in ((599, 0), (2, 1), (600, 1)):
            clock.now += seconds
            await engine.watch()
            assert caplog.text.count("ALARM: source his is silent") == alarms
            assert silent() is bool(alarms)
        await take(engine, adt("2"))
        assert not silent()
        clock.now += 601
        await engine.watch()
        assert caplog.text.count("ALARM") == 2
    clock.now += DAY
    async with still(tmp_path, Server(), clock=clock, silence_after=600) as engine:
        await engine.watch()
        assert caplog.text.count("ALARM") == 2, "nobody could send while the gateway stood still"
        clock.now += 601
        await engine.watch()
        assert caplog.text.count("ALARM") == 3


async def test_the_journal_is_for_its_owner_only(tmp_path: Path) -> None:
    async with still(tmp_path, Server()) as engine:
        await take(engine, adt())
        files = list(tmp_path.glob("journal.sqlite*"))
        assert len(files) >= 2 and not any(file.stat().st_mode & 0o077 for file in files)


# ------------------------------------------------------------------------------------------------------ other things
async def test_the_raw_bytes_are_kept_exactly_also_of_a_batch(tmp_path: Path) -> None:
    content = "\r".join(
        ["FHS|^~\\&|HIS", "BHS|^~\\&|HIS", adt("1", name="宋^珅").decode(), adt("2", "P2").decode(), "BTS|2", "FTS|1"]
    ).encode("gb18030")
    async with still(tmp_path, Server()) as engine:
        await engine.take(SOURCE, content, "batch.hl7")
        (row,) = engine.journal.file.read("SELECT raw FROM content")
        assert hashlib.sha256(row["raw"]).digest() == hashlib.sha256(content).digest()
        await turn(engine)
        assert states(engine) == {1: "delivered", 2: "delivered"}


async def test_rows_of_a_file_are_messages_and_a_changed_row_corrects_the_earlier_one(tmp_path: Path) -> None:
    sample = Path(__file__).parents[2] / "adapters" / "samples" / "regional" / "treatment_referral.gb18030.csv"
    content = sample.read_bytes()
    header, first, second = content.strip().split(b"\n")[:3]
    server = Server()
    async with still(tmp_path, server) as engine:
        assert len(await engine.take(SOURCE, content, "export.csv")) == 2
        await turn(engine)
        changed = b"\n".join([header, first, second.replace(b"2026", b"2025"), b""])
        assert changed != content
        await engine.take(SOURCE, changed, "export.csv")
        await turn(engine)
        assert sorted(states(engine).values()) == ["delivered", "delivered", "replaced"]
        assert len(server.seen) == 3, "the row that is as it was is not sent again"


async def test_a_source_in_another_zone_says_so_once_for_all_its_messages(tmp_path: Path) -> None:
    from adapters.kit.habits import Habits

    server = Server()
    async with still(tmp_path, server, habits=Habits(zone="+06:00")) as engine:
        await take(engine, adt())
        await turn(engine)
    (encounter,) = observation(server.seen[0], "Encounter")
    assert encounter["resource"]["period"]["start"] == "2026-03-01T07:00:00+06:00"


async def test_a_journal_that_cannot_be_opened_is_one_plain_sentence(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"no database, but long enough to be looked at as one" * 100)
    with pytest.raises(JournalError, match=r"journal\.sqlite cannot be opened"):
        async with still(tmp_path, Server()):
            pass


async def test_a_journal_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    async with still(tmp_path, Server()) as engine:
        engine.journal.file.submit(lambda db: db.execute("PRAGMA user_version = 99").fetchall()).result()
    with pytest.raises(JournalError, match="newer tiercare"):
        async with still(tmp_path, Server()):
            pass
