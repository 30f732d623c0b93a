"""Measures the REST interface of tiercare, and of peers that already run, and prints a markdown table.

    python -m bench.rest [--patients 2000] [--seconds 2] [--peer NAME=URL] [--only WORD] [--out FILE]

A bare ASGI function runs beside (bare.py), and every scenario takes turns: bare, tiercare, each peer, again. So rows
are ratios of what the same machine did in the same seconds, whatever else it had to do.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import uvloop

from bench import processes, records
from bench.processes import Server
from bench.report import Row, Sizes, conditions, table
from bench.scenarios import SCENARIOS, Scenario, World, dumps, fresh
from bench.wire import Address, Connection, Load, connect, drive

CONNECTIONS, LOADERS = 16, 4
PER_TRANSACTION = 4  # patients a transaction of the load: 60 entries
ROUNDS = 2
STARTS = 4
SEED = "bench"
LOADING = "bulk load by transactions, resources"


# --------------------------------------------------------------------------------------------------------- the load
async def fill(server: Server, patients: int) -> tuple[World, Row, int]:
    """Stores the data by transactions: what is there, how fast that went, and the bytes of the resources sent."""
    world, bodies = World(server.address, SEED, patients), 0
    async with _connected(server, 1) as (connection,):
        for make, count in (
            (records.organization, records.ORGANIZATIONS),
            (records.practitioner, records.PRACTITIONERS),
        ):
            entries = [(f"urn:uuid:00000000-0000-4000-9000-{n:012x}", make(n)) for n in range(count)]
            answer = await connection.exchange(world.send("POST", "", records.transaction(entries)))
            keep(world, *answer, [-1] * count)
    jobs = []
    for first in range(0, patients, PER_TRANSACTION):
        numbers = range(first, min(first + PER_TRANSACTION, patients))
        entries = [entry for n in numbers for entry in world.stay(n).record()]
        bodies += sum(len(dumps(resource)) for _, resource in entries)
        of = [n for n in numbers for _ in range(15)]
        jobs.append((world.send("POST", "", records.transaction(entries)), of))
    jobs.reverse()
    load = Load()

    async def work(connection: Connection) -> None:
        while jobs:
            request, of = jobs.pop()
            keep(world, *await connection.exchange(request), of)
            load.answered += len(of)

    async with _connected(server, LOADERS) as connections:
        cpu, start = server.cpu(), time.perf_counter()
        await asyncio.gather(*(work(connection) for connection in connections))
        load.seconds = time.perf_counter() - start
        return world, Row(load, server.cpu() - cpu), bodies


def keep(world: World, status: int, body: bytes, of: list[int]) -> None:
    """Remembers what a transaction stored; `of`: the patient of each entry."""
    if status not in (200, 201):
        raise SystemExit(f"{world.address}: the load was refused: {status} {body[:600]!r}")
    for entry, patient in zip(json.loads(body)["entry"], of, strict=True):
        type, id = entry["response"]["location"].split("/_history/")[0].split("/")[-2:]
        world.keep(type, id, patient)


# -------------------------------------------------------------------------------------------------------- scenarios
async def measure(scenario: Scenario, worlds: dict[Server, World], bare: Server, seconds: float) -> dict[str, Row]:
    """Server's name -> what it did, summed over the rounds."""
    produce: dict[Server, Callable[[], bytes]] = {bare: bare_request(bare)}
    for server, world in worlds.items():
        pool = [scenario.request(world) for _ in range(scenario.pool)]
        await _check(scenario, server, pool)
        produce[server] = _repeating(pool)
        await turn(server, produce[server], seconds / 4)  # warm: caches filled, code compiled
    rows: dict[str, Row] = {}
    for _ in range(ROUNDS):
        for server in (bare, *worlds):
            row = await turn(server, produce[server], seconds / (2 if server is bare else 1) / ROUNDS)
            old = rows.get(server.name, Row(Load(), 0.0))
            rows[server.name] = Row(old.load + row.load, old.cpu + row.cpu)
    return rows


async def turn(server: Server, produce: Callable[[], bytes], seconds: float) -> Row:
    """A server under load. Connections are its own: a server closes those that wait while others have their turn."""
    async with _connected(server, CONNECTIONS) as connections:
        before = server.cpu()
        load = await drive(connections, produce, seconds)
        return Row(load, server.cpu() - before)


@asynccontextmanager
async def _connected(server: Server, count: int) -> AsyncIterator[list[Connection]]:
    connections = [await connect(server.address) for _ in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


def bare_request(bare: Server) -> Callable[[], bytes]:
    return _repeating([bare.address.request("GET", "bare")])


def _repeating(pool: list[bytes]) -> Callable[[], bytes]:
    at = 0

    def produce() -> bytes:
        nonlocal at
        at = (at + 1) % len(pool)
        return fresh(pool[at])

    return produce


async def _check(scenario: Scenario, server: Server, pool: list[bytes]) -> None:
    """A few answers are read before any is counted: a fast wrong answer is not fast."""
    async with _connected(server, 1) as (connection,):
        for request in pool[:5]:
            status, body = await connection.exchange(fresh(request))
            wrong = scenario.check(status, json.loads(body) if body else {})
            if wrong:
                raise SystemExit(f"{server.name}: {scenario.name}: {wrong}: {body[:600]!r}")


async def run(arguments: argparse.Namespace) -> str:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tiercare-bench-", dir=arguments.folder)))
        starts = []
        for attempt in range(STARTS):
            with processes.tiercare(folder / f"start{attempt}") as (_, seconds):
                starts.append(seconds)
        bare = stack.enter_context(processes.bare())
        own, _ = stack.enter_context(processes.tiercare(folder / "data"))
        servers = [own, *(Server(name, Address.of(url)) for name, _, url in (p.partition("=") for p in arguments.peer))]
        worlds: dict[Server, World] = {}
        results: dict[str, dict[str, Row]] = {LOADING: {bare.name: await turn(bare, bare_request(bare), 1.0)}}
        bodies = 0
        for server in servers:
            worlds[server], row, bodies = await fill(server, arguments.patients)
            results[LOADING][server.name] = row
            _say(f"{server.name} loaded: {row.load.rate:,.0f} resources/s")
        count = sum(len(found) for found in worlds[own].stored.values())
        loaded, mapped, disk = own.memory(), own.resident(), processes.disk(folder / "data") / count
        for scenario in SCENARIOS:
            if arguments.only in scenario.name:
                results[scenario.name] = await measure(scenario, worlds, bare, arguments.seconds)
                _say(f"{scenario.name}: {results[scenario.name][own.name].load.rate:,.0f}/s")
        sizes = Sizes(min(starts), STARTS, loaded, mapped, own.memory(), disk)
    bares = [rows[bare.name] for rows in results.values()]
    rows = table(results, [server.name for server in servers])
    return "\n".join([*conditions(worlds[own], bodies, bares, CONNECTIONS), *rows, "", *sizes.lines()])


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=2000, help="patients in the store, 15 resources each")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of load a scenario and server")
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME=URL", help="an empty FHIR server that runs"
    )
    parser.add_argument("--only", default="", help="scenarios with this word in their name")
    parser.add_argument("--folder", default=None, help="where the store is made (default: the temporary folder)")
    parser.add_argument("--out", type=Path, help="a file for the table, as well as standard output")
    arguments = parser.parse_args()
    report = uvloop.run(run(arguments))
    print(report)
    if arguments.out:
        arguments.out.write_text(report + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
