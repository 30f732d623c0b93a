"""adapters.delivery: what a FHIR server's answers mean. The server here is a function that answers as it is told."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from adapters.delivery import Target
from adapters.regional_json import ADAPTER
from adapters.runner import Conversion, convert
from adapters.wire import to_json

BASE = "http://fhir.example/fhir"
MESSAGE = {
    "jgdm": "DEMO1",
    "zzjlid": "R1",
    "kh": "429900195603140175",
    "klx": "01",
    "zzsj": "2026-03-10",
    "zxjgdm": "DEMO9",
}
Resource = dict[str, Any]
Answer = Callable[[Resource], httpx.Response]


def conversion(**changes: str) -> Conversion:
    (found,) = convert(json.dumps(MESSAGE | changes).encode(), "x.json", ADAPTER, "2026-01-01T00:00:00Z")
    return found


def target(answer: Answer, seen: list[Resource] | None = None) -> Target:
    def handle(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == BASE and request.method == "POST"
        assert request.headers["content-type"].startswith("application/fhir+json")
        body = json.loads(request.content)
        if seen is not None:
            seen.append(body)
        return answer(body)

    return Target(BASE + "/", httpx.Client(transport=httpx.MockTransport(handle)))


def answering(*responses: Resource, headers: dict[str, str] | None = None) -> Answer:
    """The same response for each entry, or the given ones in turn for the first entries and the last for the rest."""

    def answer(body: Resource) -> httpx.Response:
        count = len(body["entry"])
        chosen = [*responses, *[responses[-1]] * count][:count]
        entries = [{"response": response} for response in chosen]
        content = {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}
        return httpx.Response(200, content=iter([json.dumps(content).encode()]), headers=headers)

    return answer


def outcome(status: int, *diagnostics: str, expression: str = "") -> httpx.Response:
    issues: list[Resource] = [{"severity": "error", "code": "invalid", "diagnostics": text} for text in diagnostics]
    if expression:
        issues[0]["expression"] = [expression]
    return httpx.Response(status, json={"resourceType": "OperationOutcome", "issue": issues})


def test_an_entry_answered_201_is_created_at_its_location_without_the_version() -> None:
    created = {"status": "201 Created", "location": "Patient/7/_history/1"}
    delivery = target(answering(created)).deliver(conversion())
    assert delivery.status == "stored"
    assert {entry.change for entry in delivery.written} == {"created"}
    assert delivery.written[0].url == f"{BASE}/Patient/7"
    assert [entry.type for entry in delivery.written][:2] == ["Binary", "DocumentReference"]


INFORMATIONAL = {"resourceType": "OperationOutcome", "issue": [{"severity": "information", "code": "informational"}]}
CLOCK = {"date": "Sun, 15 Mar 2026 08:00:00 GMT"}


@pytest.mark.parametrize(
    ("response", "change"),
    [
        ({"status": "200 OK", "etag": 'W/"3"', "outcome": INFORMATIONAL}, "unchanged"),
        ({"status": "200 OK", "etag": 'W/"1"', "lastModified": "2026-03-15T08:00:00Z"}, "unchanged"),
        ({"status": "200 OK", "etag": 'W/"3"', "lastModified": "2026-03-15T07:00:00.123Z"}, "unchanged"),
        ({"status": "200 OK", "etag": 'W/"3"', "lastModified": "2026-03-15T08:00:00.123Z"}, "updated"),
        ({"status": "200 OK", "etag": 'W/"3"'}, "updated"),
        ({"status": "200", "etag": 'W/"3"', "lastModified": "not a time"}, "updated"),
    ],
)
def test_an_entry_answered_200_is_updated_unless_something_says_it_is_not(response: Resource, change: str) -> None:
    delivery = target(answering(response, headers=CLOCK)).deliver(conversion())
    assert delivery.written[0].change == change  # Binary, a PUT


def test_a_conditional_create_that_found_a_match_is_unchanged() -> None:
    response = {"status": "200 OK", "etag": 'W/"3"', "location": "x/1/_history/3"}
    delivery = target(answering(response)).deliver(conversion())
    changes = {entry.type: entry.change for entry in delivery.written}
    assert (changes["Patient"], changes["Provenance"], changes["ServiceRequest"]) == (
        "unchanged",
        "unchanged",
        "updated",
    )


def test_a_refused_message_is_sent_again_as_raw_message_with_the_reasons() -> None:
    seen: list[Resource] = []

    def answer(body: Resource) -> httpx.Response:
        if len(body["entry"]) > 2:
            return outcome(422, "Task.status is not allowed", expression="Bundle.entry[5].resource.status")
        return answering({"status": "201"})(body)

    delivery = target(answer, seen).deliver(conversion())
    assert delivery.status == "refused"
    assert "Task.status is not allowed" in delivery.problems[0].text
    assert delivery.problems[0].field == "Bundle.entry[5].resource.status"
    raw = seen[1]["entry"]
    assert [entry["resource"]["resourceType"] for entry in raw] == ["Binary", "DocumentReference"]
    assert raw[0] == seen[0]["entry"][0]
    assert "Task.status is not allowed" in raw[1]["resource"]["description"]
    assert {"system": "https://tiercare.example/fhir/CodeSystem/intake", "code": "not-converted"} in raw[1]["resource"][
        "meta"
    ]["tag"]


def test_a_raw_message_that_is_refused_too_is_reported_and_not_sent_for_ever() -> None:
    seen: list[Resource] = []
    delivery = target(lambda body: outcome(400, "no"), seen).deliver(conversion())
    assert (delivery.status, delivery.written, len(seen)) == ("refused", [], 2)


def test_a_message_that_was_not_converted_is_sent_once() -> None:
    seen: list[Resource] = []
    failed = conversion(zxjgdm="")
    assert failed.failed
    delivery = target(answering({"status": "201"}), seen).deliver(failed)
    assert (delivery.status, len(seen), len(delivery.written)) == ("stored", 1, 2)


def test_a_conflict_with_another_writer_is_tried_once_more() -> None:
    answers = [outcome(409, "two writers"), None]

    def answer(body: Resource) -> httpx.Response:
        return answers.pop(0) or answering({"status": "201"})(body)

    assert target(answer).deliver(conversion()).status == "stored"


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 502, 503])
def test_what_is_not_the_message_s_fault_leaves_it_undone(status: int) -> None:
    seen: list[Resource] = []
    delivery = target(lambda body: outcome(status, "not now"), seen).deliver(conversion())
    assert (delivery.status, delivery.written, len(seen)) == ("again", [], 1)
    assert "not now" in delivery.problems[0].text


def test_an_answer_that_is_no_outcome_still_gives_a_reason() -> None:
    delivery = target(lambda body: httpx.Response(502, text="<html>Bad Gateway")).deliver(conversion())
    assert "502" in delivery.problems[0].text


@pytest.mark.parametrize("content", [{"resourceType": "Bundle", "entry": []}, {"hello": 1}, [1]])
def test_a_success_without_the_entries_of_the_transaction_is_not_taken_for_stored(content: Any) -> None:
    delivery = target(lambda body: httpx.Response(200, json=content)).deliver(conversion())
    assert delivery.status == "again" and "FHIR server" in delivery.problems[0].text


def test_a_server_out_of_reach_leaves_the_message_undone() -> None:
    def answer(body: Resource) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    delivery = target(answer).deliver(conversion())
    assert delivery.status == "again" and f"{BASE} cannot be reached" in delivery.problems[0].text


@pytest.mark.parametrize("answer", [httpx.Response(404), httpx.Response(200, json={"resourceType": "Bundle"})])
def test_a_count_that_the_server_does_not_tell_is_an_error(answer: httpx.Response) -> None:
    counting = Target(BASE, httpx.Client(transport=httpx.MockTransport(lambda request: answer)))
    with pytest.raises(ValueError, match="Patient cannot be counted"):
        counting.count("Patient")


def test_decimals_keep_their_digits_on_the_wire() -> None:
    assert to_json({"value": Decimal("1.00"), "low": Decimal("12345678901234567890.1")}) == (
        b'{"value":1.00,"low":12345678901234567890.1}'
    )
