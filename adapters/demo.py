"""`tiercare demo`: a server with our own synthetic legacy messages in it, fed through the adapters, to look around in.

The server is a child process that is spoken to over HTTP alone: what the demo shows, any FHIR server would show.
"""

import csv
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from adapters.delivery import Target
    from adapters.feeding import Report

SAMPLES = Path(__file__).parent / "samples"
EXPECTED = SAMPLES / "expected.csv"
HOST, PORT = "127.0.0.1", 8080
START_SECONDS = 30.0
STOP_SECONDS = 10.0
TRY_NEXT = (
    ("patients, three a page, with a link to the next page", "Patient?_count=3"),
    ("referrals under way, and their patients", "ServiceRequest?status=active&_include=ServiceRequest:subject"),
    ("referrals that wait for an answer, newest first", "Task?status=requested&_sort=-authored-on"),
    ("treatment and rehabilitation advice, and whose it is", "CarePlan?_include=CarePlan:subject"),
    ("discharge records and summaries", "Composition"),
    ("messages that were not converted, and why", "DocumentReference?_tag=not-converted"),
    ("what the server can do", "metadata"),
)


def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Feed twice, compare with the expected counts, leave.")
    ] = False,
    port: Annotated[int, typer.Option("--port", help="Port of the server; with --check a free one by default.")] = 0,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the store (default: a temporary one).")] = None,
) -> None:
    """Starts a server, feeds it the synthetic samples, prints what became of them, and stays until Ctrl-C."""
    from adapters.delivery import Target

    for number in (signal.SIGINT, signal.SIGTERM):  # a stopped demo stops its server, in a background job too
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as stack:
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tiercare-demo-")))
        chosen = _port(port or (0 if check else PORT))
        target = Target(f"http://{HOST}:{chosen}/fhir")
        stack.callback(target.close)
        child = stack.enter_context(_server(chosen, folder, target, quiet=check))
        if check:
            raise typer.Exit(_check(target))
        report = _feed(target)
        _say_where_to_look(target, report)
        _stay(child)


# ------------------------------------------------------------------------------------------------------ server
@contextmanager
def _server(port: int, folder: Path, target: "Target", quiet: bool) -> Iterator[subprocess.Popen[bytes]]:
    """A running server as a child in its own session, stopped on the way out: Ctrl-C reaches only us, in order."""
    command = [sys.executable, "-m", "server", "serve", "--host", HOST, "--port", str(port), "--data", str(folder)]
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            _wait(child, target, log)
            if not quiet:
                typer.echo(f"server {target.base} on {folder}")
            yield child
        finally:
            _stop(child)


def _wait(child: "subprocess.Popen[bytes]", target: "Target", log: IO[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while not target.ready():
        if child.poll() is not None:
            _give_up(f"the server stopped at once: {_tail(log)}")
        if time.monotonic() > until:
            _give_up(f"the server did not answer within {START_SECONDS:.0f} seconds: {_tail(log)}")
        time.sleep(0.05)


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _stop(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _port(wanted: int) -> int:
    """The wanted port if it is free, else gives up; 0: any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            _give_up(f"port {wanted} cannot be used ({error.strerror}); choose another with --port")
        return int(probe.getsockname()[1])


# ------------------------------------------------------------------------------------------------------- feed
def _feed(target: "Target") -> "Report":
    from rich.console import Console

    from adapters.feeding import feed_files, table

    report = feed_files([SAMPLES], target)
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(table(report, SAMPLES))
    return report


def _say_where_to_look(target: "Target", report: "Report") -> None:
    changes = ", ".join(f"{count} {change}" for change, count in report.changes().items())
    typer.echo(f"\n{len(report.fed)} messages: {changes}\n\nTry next, in another terminal:")
    for what, path in TRY_NEXT:
        typer.echo(f"\n  # {what}\n  curl '{target.base}/{path}'")
    typer.echo("\nCtrl-C stops the server.")


def _stay(child: "subprocess.Popen[bytes]") -> None:
    """Until Ctrl-C or SIGTERM, or until the server ends."""
    try:
        code = child.wait()
    except KeyboardInterrupt:
        typer.echo("\nstopping")
        return
    _give_up(f"the server ended with code {code}")


# ------------------------------------------------------------------------------------------------------ check
def expected() -> dict[str, int]:
    """Resource type -> how many there are after the samples were fed (samples/expected.csv)."""
    with EXPECTED.open(encoding="utf-8", newline="") as lines:
        return {row["type"]: int(row["count"]) for row in csv.DictReader(lines)}


def _check(target: "Target") -> int:
    """Feeds twice, reads back by search, prints one line; 0 when everything is as expected."""
    from adapters.feeding import feed_files

    began = time.monotonic()
    first, second = feed_files([SAMPLES], target), feed_files([SAMPLES], target)
    wanted = expected()
    try:
        found = {type: target.count(type) for type in wanted}
    except ValueError as error:
        typer.echo(f"demo check FAILED: {error}")
        return 1
    faults = [f"{type} {found[type]} instead of {count}" for type, count in wanted.items() if found[type] != count]
    faults += _written_but_not_listed(first, set(wanted))
    faults += [f"not read: {text}" for text in first.unreadable]
    faults += [f"{item.file.name}: {item.problems[0].text}" for item in first.fed if _undelivered(item)]
    changed = {change: count for change, count in second.changes().items() if change != "unchanged" and count}
    if changed:
        faults.append(f"the second time changed something: {changed}")
    counts = f"{len(first.fed)} messages, {sum(found.values())} resources of {len(found)} types"
    seconds = f"{time.monotonic() - began:.1f} s"
    typer.echo(f"demo check {'FAILED' if faults else 'ok'}: {counts}, {seconds}{''.join(f'; {f}' for f in faults)}")
    return 1 if faults else 0


def _undelivered(item: "object") -> bool:
    from adapters.feeding import Fed

    return isinstance(item, Fed) and (item.delivery is None or item.delivery.status != "stored")


def _written_but_not_listed(report: "Report", listed: set[str]) -> list[str]:
    types = {entry.type for item in report.fed if item.delivery for entry in item.delivery.written}
    return [f"{type} is not in {EXPECTED.name}" for type in sorted(types - listed)]


def _give_up(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(1)
