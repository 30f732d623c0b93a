"""Where the time of a request goes: microseconds of CPU for each part, in one process, without HTTP.

    python -m bench.parts [--rounds 9]

Of every part the fastest of several rounds counts, so what else the machine does disturbs little. `all of it` is the
whole ASGI application, sixteen requests at once as in rest.py; the event loop's thread and the one that commits apart.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import orjson
import uvloop

from bench import records
from bench.rest import SEED, keep
from bench.scenarios import SCENARIOS, World, dumps, fresh
from bench.wire import Address
from server.interaction.accept import Stored, accept
from server.model.raw import Body, members, replace_links
from server.rest.app import App
from server.search.index import index
from server.search.kinds.kind import Setting
from server.settings import Settings
from server.validation.structure import check
from server.wiring import build_app

ADDRESS = Address("127.0.0.1", 8080, "/fhir")
SETTING = Setting(ZoneInfo("Asia/Shanghai"), "http://127.0.0.1:8080/fhir")
PATIENTS, AT_ONCE, REQUESTS = 200, 16, 480


def fastest(rounds: int, work: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Microseconds an item."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time_ns()
        for item in items:
            work(item)
        best = min(best, time.process_time_ns() - start)
    return best / len(items) / 1000


def parts(rounds: int) -> list[str]:
    """What is done for each resource of a stay before it reaches the store."""
    organizations, practitioners = (
        [f"{type}/{n:032x}" for n in range(40)] for type in ("Organization", "Practitioner")
    )
    bodies = [
        dumps(resource)
        for n in range(20)
        for _, resource in records.Stay(SEED, n, organizations, practitioners).record()
    ]
    resources = [orjson.loads(body) for body in bodies]
    drafted = [Body(members(body)) for body in bodies]
    typed = [(body, resource["resourceType"]) for body, resource in zip(bodies, resources, strict=True)]

    def link(text: str) -> str | None:
        return "Encounter/0123456789abcdef0123456789abcdef" if text.startswith("urn:") else None

    rows: tuple[tuple[str, Callable[[Any], object], Sequence[Any]], ...] = (
        ("JSON to objects", orjson.loads, bodies),
        ("validation: structure and required bindings", check, resources),
        ("JSON to members as bytes", members, bodies),
        ("accepting a body, these three", lambda one: accept(*one), typed),
        ("links of a transaction", lambda body: replace_links(body, link, link), bodies),
        ("the bytes to store", lambda body: body.draft("0123456789abcdef"), drafted),
        ("index entries", lambda resource: index(resource, SETTING), resources),
        ("index entries of the version before, an update's", lambda b: Stored(b).entries(SETTING), bodies),
    )
    entries = sum(len(index(resource, SETTING)) for resource in resources) / len(resources)
    size = sum(map(len, bodies)) / len(bodies)
    lines = [f"A resource of {size:,.0f} bytes and {entries:.1f} index entries:", "", "| part | µs |", "|---|--:|"]
    return lines + [f"| {name} | {fastest(rounds, work, items):.1f} |" for name, work, items in rows]


# -------------------------------------------------------------------------------------------- the whole application
async def ask(app: App, request: bytes) -> tuple[int, bytes]:
    """What the application answers to a request as it would come over the line."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, target, _ = first.decode().split(" ")
    path, _, query = target.partition("?")
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    scope = {
        "type": "http", "method": method, "path": unquote(path), "query_string": query.encode(), "headers": headers,
        "scheme": "http",
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


@asynccontextmanager
async def running(folder: Path, **settings: object) -> AsyncIterator[App]:
    app = build_app(Settings({}, data=str(folder), **settings))
    events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    answers: asyncio.Queue[Any] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan"}, events.get, answers.put))
    await events.put({})
    await answers.get()
    try:
        yield app
    finally:
        await events.put({})
        await life


async def filled(app: App, patients: int = PATIENTS) -> World:
    world = World(ADDRESS, SEED, patients)
    for make, count in ((records.organization, records.ORGANIZATIONS), (records.practitioner, records.PRACTITIONERS)):
        entries = [(f"urn:uuid:00000000-0000-4000-9000-{n:012x}", make(n)) for n in range(count)]
        keep(world, *await ask(app, world.send("POST", "", records.transaction(entries))), [-1] * count)
    for start in range(0, patients, AT_ONCE):  # at once, as commits wait for the disk together
        some = range(start, min(start + AT_ONCE, patients))
        stays = [world.send("POST", "", records.transaction(world.stay(n).record())) for n in some]
        for n, answer in zip(some, await asyncio.gather(*(ask(app, stay) for stay in stays)), strict=True):
            keep(world, *answer, [n] * 15)
    return world


async def whole(rounds: int) -> list[str]:
    lines = ["| all of it | µs, event loop | µs, other threads |", "|---|--:|--:|"]
    with tempfile.TemporaryDirectory(prefix="tiercare-bench-") as folder:
        async with running(Path(folder)) as app:
            world = await filled(app)
            for scenario in SCENARIOS:
                pool = [scenario.request(world) for _ in range(min(scenario.pool, REQUESTS))]
                costs = [await _cost(app, pool, max(32, REQUESTS // scenario.weight)) for _ in range(rounds)]
                loop, others = min(cost[0] for cost in costs), min(cost[1] for cost in costs)
                lines.append(f"| {scenario.name} | {loop:,.0f} | {others:,.0f} |")
    return lines


async def _cost(app: App, pool: list[bytes], count: int) -> tuple[float, float]:
    """(microseconds of this thread, of all others) for a request."""
    waiting = [fresh(pool[n % len(pool)]) for n in range(count)]

    async def work() -> None:
        while waiting:
            status, body = await ask(app, waiting.pop())
            if status > 299:
                raise SystemExit(f"{status} {body[:600]!r}")

    loop, process = time.thread_time(), time.process_time()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    loop, process = time.thread_time() - loop, time.process_time() - process
    return loop / count * 1e6, (process - loop) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    print("\n".join([*parts(rounds), "", *uvloop.run(whole(rounds))]))


if __name__ == "__main__":
    main()
