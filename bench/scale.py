"""How the cost of a search grows with what is stored: CPU for each search at growing sizes, on SQLite, with its plan.

    python -m bench.scale [--sizes 10000,100000] [--rounds 5]

The event loop's thread, the whole ASGI application without HTTP, one request at a time; of each search the fastest of
several rounds. Where an answer has as many entries at every size, its cost should be the same within LIMIT.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import orjson
import uvloop

from bench.parts import ask, filled, running
from bench.records import PATIENT_NO, REFERRAL_NO
from bench.scenarios import SCENARIOS, World
from server.rest.app import App

LIMIT = 1.5  # times as much CPU at the largest size as at the smallest
EACH, OF_A_PATIENT = 100, 15  # requests a round; resources that a patient brings


class Figure(NamedTuple):
    """One search at one size: microseconds, entries of an answer, what led."""

    cost: float
    entries: float
    leads: str


def _chained(world: World) -> bytes:
    value = f"P{world.read('Patient').patient:08d}-0"
    return world.get(f"ServiceRequest?subject:Patient.identifier={PATIENT_NO}%7C{value}")


def _has(world: World) -> bytes:
    value = f"Z{world.read('Patient').patient:08d}-0"
    return world.get(f"Patient?_has:ServiceRequest:subject:identifier={REFERRAL_NO}%7C{value}")


def _everything(world: World) -> bytes:
    return world.get(f"Patient/{world.read('Patient').id}/$everything")


SEARCHES: dict[str, Callable[[World], bytes]] = {
    **{one.name: one.request for one in SCENARIOS if one.name.startswith("search ")},
    "chained": _chained,
    "_has": _has,
    "$everything": _everything,
}


async def measured(size: int, rounds: int) -> dict[str, Figure]:
    with tempfile.TemporaryDirectory(prefix="tiercare-scale-") as folder:
        async with running(Path(folder), explain=True) as app:
            world = await filled(app, size // OF_A_PATIENT)
            return {name: await _figure(app, world, request, rounds) for name, request in SEARCHES.items()}


async def _figure(app: App, world: World, request: Callable[[World], bytes], rounds: int) -> Figure:
    pool = [request(world) for _ in range(EACH if request is not _everything else EACH // 10)]
    best, entries = float("inf"), 0
    for _ in range(rounds):
        bodies = []
        start = time.thread_time()
        for one in pool:
            status, body = await ask(app, one)
            assert status == 200, body[:600]
            bodies.append(body)
        best = min(best, time.thread_time() - start)
        entries = sum(len(orjson.loads(body).get("entry", ())) for body in bodies)
    return Figure(best / len(pool) * 1e6, entries / len(pool), await _leads(app, pool[0]))


async def _leads(app: App, request: bytes) -> str:
    """What the store says of the first of the requests; '' of an operation."""
    line, rest = request.split(b"\r\n", 1)
    if b"$" in line:
        return ""
    method, target, version = line.split(b" ")
    status, body = await ask(app, b" ".join((method, target + b"&_explain=true", version)) + b"\r\n" + rest)
    assert status == 200, body[:600]
    return str(orjson.loads(body)["issue"][1]["diagnostics"]).removeprefix("leading criterion: ")


def table(sizes: list[int], figures: list[dict[str, Figure]]) -> list[str]:
    heads = "".join(f" at {size:,}, µs |" for size in sizes)
    lines = [
        f"| search | entries |{heads} growth | leads at {sizes[-1]:,} |",
        f"|---|--:|{'--:|' * len(sizes)}--:|---|",
    ]
    for name in SEARCHES:
        row = [one[name] for one in figures]
        growth = row[-1].cost / row[0].cost
        costs = "".join(f" {one.cost:,.0f} |" for one in row)
        entries = " / ".join(dict.fromkeys(f"{one.entries:.1f}" for one in row))
        flag = " (!)" if growth > LIMIT else ""
        lines.append(f"| {name} | {entries} |{costs} {growth:.2f}{flag} | {row[-1].leads} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000", help="resources, smallest first; 1000000 takes a while")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    print("\n".join(table(sizes, [uvloop.run(measured(size, given.rounds)) for size in sizes])))


if __name__ == "__main__":
    main()
