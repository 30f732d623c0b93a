"""The command lines of the adapters: convert, feed, listen. Mounted by the server's CLI (`tiercare.commands`)."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from adapters.contract import Problem
from adapters.kit.transaction import sentence
from adapters.runner import Conversion

if TYPE_CHECKING:  # HTTP and the table are loaded when a command needs them
    from adapters.delivery import Target
    from adapters.feeding import Report
    from adapters.gateway.configuration import Configuration

Send = Annotated[str, typer.Option("--send", metavar="URL", help="FHIR base URL of the server to send to.")]
AdapterName = Annotated[str, typer.Option("--adapter", metavar="NAME", help="Do not guess the format.")]


def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of messages: HL7 v2, CDA, JSON or CSV.")],
    send: Send = "",
    adapter: AdapterName = "",
    explain: Annotated[bool, typer.Option("--explain", help="Tell where each element came from.")] = False,
    site: Annotated[Path | None, typer.Option("--site", metavar="FILE", help="A site's override file (TOML).")] = None,
) -> None:
    """Converts a file and prints the transaction Bundle: one message, the Bundle; several, a JSON array of Bundles.

    Only JSON goes to standard output; all else goes to standard error. The exit code is 0 when every message was
    converted (and, with --send, stored).
    """
    from adapters.feeding import Fed, Report, Unreadable, read
    from adapters.wire import to_json

    try:
        conversions = read(file, adapter) if site is None else _at_site(file, adapter, site)
    except (Unreadable, ValueError) as error:
        _give_up(str(error))
    bundles = [conversion.transaction for conversion in conversions]
    sys.stdout.buffer.write(to_json(bundles[0] if len(bundles) == 1 else bundles, indent=2) + b"\n")
    sys.stdout.buffer.flush()
    for conversion in conversions:
        _tell(file, conversion, explain)
    if send:
        report = Report([Fed(file, conversion) for conversion in conversions])
        target = _target(send)
        for item in report.fed:
            item.delivery = target.deliver(item.conversion)
        target.close()
        _print_table(report)
    failed = [conversion for conversion in conversions if conversion.failed]
    if failed:
        _give_up(f"{file}: {len(failed)} of {len(conversions)} messages not converted: {_first(failed[0].problems)}")
    if send and not report.complete:
        trouble = next(item.delivery for item in report.fed if item.delivery and not item.done)
        _give_up(f"{file}: not stored: {_first(trouble.problems)}")


def feed(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files, or folders of files.")],
    send: Annotated[str, typer.Option("--send", metavar="URL", help="FHIR base URL of the server.")],
    adapter: AdapterName = "",
) -> None:
    """Converts files and sends them to a FHIR server; prints what was created, updated or left as it was."""
    from adapters.feeding import feed_files

    target = _target(send)
    report = feed_files(files, target, adapter)
    target.close()
    _print_table(report, standard_output=True)
    changes = ", ".join(f"{count} {change}" for change, count in report.changes().items())
    typer.echo(f"{len(report.fed)} messages: {changes}")
    if not report.complete:
        undone = len(report.unreadable) + sum(not item.done for item in report.fed)
        _give_up(f"{undone} files or messages were not converted or not stored; the table says why")


def listen(
    send: Annotated[str, typer.Option("--send", metavar="URL", help="FHIR base URL of the server.")],
    mllp: Annotated[int | None, typer.Option("--mllp", metavar="PORT", help="Port for HL7 v2 over MLLP.")] = None,
    http: Annotated[int | None, typer.Option("--http", metavar="PORT", help="Port for POST /hl7v2 and /feed.")] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    allow_open: Annotated[bool, typer.Option("--allow-open", help="Listen beyond loopback; nobody logs in.")] = False,
) -> None:
    """Takes messages by MLLP and HTTP, sends them to a FHIR server, and acknowledges after its commit; until Ctrl-C.

    `tiercare gateway` does more: several sources and destinations, folders, a journal that outlives a crash.

    An HL7 v2 message is answered AA when its resources are stored, AE when it is at fault (its raw bytes are kept),
    AR when the server is out of reach or the type is not supported.
    """
    from tempfile import TemporaryDirectory

    from adapters.gateway.commands import serve

    if mllp is None and http is None:
        _give_up("say where to listen: --mllp PORT, --http PORT, or both")
    _target(send).close()
    if allow_open:
        typer.echo(f"WARNING: {host} takes messages from anyone who reaches it", err=True)
    with TemporaryDirectory(prefix="tiercare-listen-") as folder:
        serve(_simple(send, {"mllp": mllp, "http": http}, host, allow_open, Path(folder)))


def _simple(url: str, ports: dict[str, int | None], host: str, allow_open: bool, folder: Path) -> "Configuration":
    """The gateway's simple form: one destination, answers after its commit, so the journal need not outlive it."""
    from adapters.engine.engine import Source
    from adapters.engine.retention import Retention
    from adapters.gateway.configuration import Configuration, Input, Output, options

    inputs = [
        Input(
            Source(kind, kind, ("server",), "committed"),
            options(kind, host=host, port=port, allow_open=allow_open, enhanced=False),
        )
        for kind, port in ports.items()
        if port is not None
    ]
    server = Output("server", url.rstrip("/"))
    return Configuration(folder / "journal.sqlite", 1 << 30, Retention({"delivered": 3600.0}), (server,), tuple(inputs))


def _at_site(file: Path, name: str, site: Path) -> list[Conversion]:
    """The conversions of a file by an adapter with a site's overrides. Raises ValueError for a file that is wrong."""
    from adapters.contract import Configurable
    from adapters.registry import NoAdapter, choose
    from adapters.runner import convert as convert_content
    from adapters.runner import now

    try:
        content, overrides = file.read_bytes(), site.read_text("utf-8")
        chosen = choose(content, file.name, name)
    except (OSError, NoAdapter) as error:
        raise ValueError(str(error)) from None
    if not isinstance(chosen, Configurable):
        raise ValueError(f"the adapter {chosen.name} takes no site file")
    return convert_content(content, file.name, chosen.configured([(site.name, overrides)]), now())


def _tell(file: Path, conversion: Conversion, explain: bool) -> None:
    """What was found in a message, on standard error."""
    for problem in conversion.problems:
        if explain or problem.severity != "information":
            typer.echo(f"{file}: {problem.severity}: {sentence(problem)}", err=True)
    if explain and conversion.mapped is not None:
        _print_trace(conversion)
        leaves = conversion.mapped.leaves
        if leaves is not None:
            share = 100 * leaves.mapped / leaves.present if leaves.present else 100.0
            counts = f"{leaves.present} present, {leaves.mapped} mapped ({share:.1f} %), {len(leaves.listed)} listed"
            typer.echo(f"{file}: components: {counts}", err=True)
            for place, line, reason in leaves.listed:
                typer.echo(f"{file}: listed: line {line}, {place}: {reason}", err=True)


def _print_trace(conversion: Conversion) -> None:
    """Element, source field and line of everything mapped."""
    from rich.console import Console
    from rich.table import Table

    assert conversion.mapped is not None
    shown = Table(title=f"{conversion.kind}, line {conversion.parsed.line}")
    for title in ("element", "from", "line"):
        shown.add_column(title, overflow="fold")
    for trace in conversion.mapped.trace:
        shown.add_row(trace.element, trace.field, "" if trace.line is None else str(trace.line))
    Console(stderr=True).print(shown)


def _print_table(report: "Report", standard_output: bool = False) -> None:
    from rich.console import Console

    from adapters.feeding import table

    console = Console(stderr=not standard_output)
    if not console.is_terminal:
        console = Console(stderr=not standard_output, width=200)
    console.print(table(report))


def _target(url: str) -> "Target":
    from adapters.delivery import Target

    if not url.startswith(("http://", "https://")):
        _give_up(f"{url} is no FHIR base URL: it begins with http:// or https://")
    return Target(url)


def _first(problems: list[Problem]) -> str:
    """The first error, as a sentence."""
    return next(
        (sentence(problem) for problem in problems if problem.severity in ("fatal", "error")), "no reason given"
    )


def _give_up(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(1)
