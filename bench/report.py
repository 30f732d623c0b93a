"""What was measured, as markdown: the conditions, a line a scenario, and what tiercare takes."""

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench import processes, records
from bench.scenarios import World
from bench.wire import Load


class Row(NamedTuple):
    """What one server did in one scenario; `cpu`: seconds of CPU of the server, 0 if unknown."""

    load: Load
    cpu: float

    @property
    def cost(self) -> float:
        """Microseconds of CPU of the server for an answer."""
        return self.cpu / self.load.answered * 1e6 if self.load.answered else 0.0


def _ms(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds < 100 else f"{seconds:.0f}"


def table(results: dict[str, dict[str, Row]], names: list[str]) -> list[str]:
    """One line a scenario; the rate of the bare function is that of the same seconds."""
    peers = names[1:]
    heads = ["scenario", "per s", "of bare", "server CPU, µs", "p50 ms", "p99 ms", "refused"]
    for peer in peers:
        heads += [f"{peer}: per s", "p99 ms", "tiercare / it"]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "--:|" * (len(heads) - 1)]
    for scenario, rows in results.items():
        row, bare = rows[names[0]], rows[processes.BARE].load.rate
        load = row.load
        share = f"{load.rate / bare:.3f}" if bare else ""
        cells = [scenario, f"{load.rate:,.0f}", share, f"{row.cost:,.0f}"]
        cells += (
            [_ms(load.percentile(0.5)), _ms(load.percentile(0.99)), str(load.refused)] if load.latencies else [""] * 3
        )
        for peer in peers:
            theirs = rows[peer].load
            ratio = f"{load.rate / theirs.rate:.1f}" if theirs.rate else ""
            cells += [f"{theirs.rate:,.0f}", _ms(theirs.percentile(0.99)) if theirs.latencies else "", ratio]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _machine() -> str:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    cores = len(Path("/proc/cpuinfo").read_text().split("processor\t:")) - 1
    return f"{cores} cores of {model}, Python {platform.python_version()}"


class Sizes(NamedTuple):
    """What tiercare takes; memory and disk in bytes, the start in seconds."""

    start: float
    starts: int
    loaded: int
    mapped: int
    after: int
    disk: float

    def lines(self) -> list[str]:
        return [
            "| | |",
            "|---|--:|",
            f"| start to first /metadata, empty store, best of {self.starts} | {self.start:.2f} s |",
            f"| memory of the worker after the load, its own | {self.loaded / 2**20:,.0f} MB |",
            f"| the same with the pages of the store that are mapped | {self.mapped / 2**20:,.0f} MB |",
            f"| memory after all scenarios, its own | {self.after / 2**20:,.0f} MB |",
            f"| disk a resource after the load | {self.disk / 1024:.2f} kB |",
        ]


def conditions(world: World, bodies: int, bares: list[Row], connections: int) -> list[str]:
    """On what, with what, and what the bare function did."""
    count = sum(len(found) for found in world.stored.values())
    each = bodies / (count - records.ORGANIZATIONS - records.PRACTITIONERS)
    total = sum((row.load for row in bares), Load())
    cost = sum(row.cpu for row in bares) / max(1, total.answered) * 1e6
    when = f"Measured {datetime.now(UTC):%Y-%m-%d} on {_machine()}"
    return [
        f"{when}, {connections} connections, the client beside the server.",
        f"SQLite; {count:,} resources of {len(world.stored)} types, sent with {each:,.0f} bytes each.",
        f"Bare ASGI function: {total.rate:,.0f} per s, {cost:,.0f} µs of CPU.",
        "",
    ]
