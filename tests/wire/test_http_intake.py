"""HTTP intake: POST /hl7v2 answers with an ACK, POST /feed with what became of each message; bad requests are told."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from adapters.delivery import Target
from adapters.listeners.http_intake import HL7, Intake, http_server
from tests import servers
from tests.gateways import SOURCE, engine_on

SAMPLES = Path(__file__).parents[2] / "adapters" / "samples" / "hl7v2"
A01 = (SAMPLES / "ADT_A01.hl7").read_bytes()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A FHIR server in a process of its own, on SQLite."""
    with servers.tiercare(tmp_path_factory.mktemp("server")) as server:
        target = Target(server.base)
        yield target
        target.close()


@asynccontextmanager
async def posting(folder: Path, target: Target, ack: str = "committed") -> AsyncIterator[httpx.AsyncClient]:
    async with engine_on(folder, target, ack=ack) as engine:
        transport = httpx.ASGITransport(Intake(engine, SOURCE, body_bytes=100_000, enhanced=False))
        async with httpx.AsyncClient(transport=transport, base_url="http://intake", timeout=60) as client:
            yield client


@pytest.fixture
async def intake(target: Target, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with posting(tmp_path, target) as client:
        yield client


@pytest.mark.parametrize("media", [HL7, "text/plain; charset=utf-8", "application/octet-stream"])
async def test_a_message_is_answered_with_an_acknowledgment(intake: httpx.AsyncClient, media: str) -> None:
    answer = await intake.post("/hl7v2", content=A01, headers={"Content-Type": media})
    assert (answer.status_code, answer.headers["content-type"]) == (200, HL7)
    assert answer.content.split(b"\r")[1] == b"MSA|AA|JN240306000117"


async def test_the_answer_speaks_the_charset_of_the_message(intake: httpx.AsyncClient) -> None:
    content = "MSH|^~\\&|住院系统|珅院|||20240101||ADT^A01|号7|P|2.4\rPID|1||7||测试某\r".encode("gb18030")
    answer = await intake.post("/hl7v2", content=content, headers={"Content-Type": HL7})
    assert "MSA|AA|号7".encode("gb18030") in answer.content
    assert "|住院系统|珅院|".encode("gb18030") in answer.content


async def test_a_feed_tells_what_became_of_each_message(intake: httpx.AsyncClient) -> None:
    broken = A01.replace(b"|19640512|", b"|20230230|")
    ref = (SAMPLES / "REF_I12.hl7").read_bytes()
    answer = await intake.post("/feed?name=three.hl7", content=ref + broken)
    assert answer.status_code == 422
    body = answer.json()
    assert body["adapter"] == "hl7v2"
    first, second = body["messages"]
    assert (first["kind"], first["status"], first["line"]) == ("REF^I12", "stored", 1)
    assert {"ServiceRequest", "Task", "Patient"} <= {entry["type"] for entry in first["resources"]}
    assert (second["kind"], second["status"], second["line"]) == ("ADT^A01", "not-converted", 15)
    assert [(p["field"], p["line"]) for p in second["problems"] if p["severity"] == "error"] == [("PID-7", 3)]
    assert {entry["type"] for entry in second["resources"]} == {"Binary", "DocumentReference"}
    for entry in first["resources"]:
        assert httpx.get(entry["url"], headers={"Accept": "application/fhir+json"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "media", "content", "status", "text"),
    [
        ("GET", "/hl7v2", "", b"", 405, "POST"),
        ("POST", "/", "", A01, 404, "/hl7v2, /feed"),
        ("POST", "/hl7v2", "application/json", A01, 415, "application/json is no HL7 v2"),
        ("POST", "/hl7v2", HL7, b"", 400, "the body is empty"),
        ("POST", "/hl7v2", HL7, b"x" * 100_001, 413, "longer than 100000 bytes"),
        ("POST", "/feed", HL7, b"what is this?", 415, "no adapter recognises"),
        ("POST", "/feed?adapter=nonsense", HL7, A01, 415, "there is no adapter nonsense"),
    ],
)
async def test_a_bad_request_is_one_plain_sentence(
    intake: httpx.AsyncClient, method: str, path: str, media: str, content: bytes, status: int, text: str
) -> None:
    answer = await intake.request(method, path, content=content, headers={"Content-Type": media} if media else {})
    assert answer.status_code == status
    assert text in answer.text
    assert answer.text.count("\n") == 1


async def test_a_feed_to_a_server_out_of_reach_says_try_again(tmp_path: Path) -> None:
    away = Target(f"http://127.0.0.1:{servers.free_port()}/fhir")
    async with posting(tmp_path, away) as client:
        answer = await client.post("/feed", content=A01)
    away.close()
    assert answer.status_code == 503
    assert answer.json()["messages"][0]["status"] == "again"


async def test_a_feed_that_is_answered_from_the_journal_tells_the_messages_numbers(tmp_path: Path) -> None:
    away = Target(f"http://127.0.0.1:{servers.free_port()}/fhir")
    async with posting(tmp_path, away, ack="stored") as client:
        first, again = [await client.post("/feed", content=A01) for _ in range(2)]
        ack = await client.post("/hl7v2", content=A01)
    away.close()
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == {
        "adapter": "hl7v2",
        "messages": [{"id": 1, "line": 1, "status": "received", "new": True}],
    }
    assert [(one["id"], one["new"]) for one in again.json()["messages"]] == [(1, False)]
    assert b"MSA|AA|JN240306000117" in ack.content


async def test_a_body_that_drips_in_is_not_waited_for(tmp_path: Path, target: Target) -> None:
    async with engine_on(tmp_path, target) as engine:
        intake = Intake(engine, SOURCE, body_seconds=0.2)
        sent: list[dict[str, object]] = []

        async def drip() -> dict[str, object]:
            await asyncio.sleep(0.05)
            return {"type": "http.request", "body": b"M", "more_body": True}

        async def send(event: dict[str, object]) -> None:
            sent.append(event)

        scope = {"type": "http", "method": "POST", "path": "/feed", "headers": [], "query_string": b""}
        await intake(scope, drip, send)
        assert sent[0]["status"] == 408


async def test_only_loopback_is_listened_on_unless_allowed(target: Target, tmp_path: Path) -> None:
    async with engine_on(tmp_path, target) as engine:
        intake = Intake(engine, SOURCE)
        with pytest.raises(ValueError, match="no authentication"):
            http_server("0.0.0.0", 0, intake)
        assert http_server("0.0.0.0", 0, intake, allow_open=True).config.host == "0.0.0.0"
