"""The command `tiercare`: serve and check live here, other packages bring theirs by the entry point
`tiercare.commands`. Whatever goes wrong ends in one plain sentence and a non-zero exit."""

import ipaddress
import os
import socket
import sys
from collections.abc import Callable
from importlib.metadata import entry_points, packages_distributions, version
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from server.errors import TiercareError
from server.settings import Settings

COMMANDS = "tiercare.commands"
WORKERS_MAX = 64
app = typer.Typer(
    name="tiercare",
    help="A FHIR R4 server and adapters for tiered care (分级诊疗).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="address to listen on (default 127.0.0.1)")] = None,
    port: Annotated[int | None, typer.Option(help="port to listen on (default 8080); 0 takes a free one")] = None,
    data: Annotated[str | None, typer.Option(help="folder of the embedded store (default ./data)")] = None,
    store: Annotated[str | None, typer.Option(help="store URL: mongodb://host/database; default: SQLite")] = None,
    workers: Annotated[int | None, typer.Option(help="processes that serve (default 1); one of them writes")] = None,
    allow_open: Annotated[
        bool | None, typer.Option("--allow-open", help="listen beyond loopback without authentication")
    ] = None,
) -> None:
    """Serves FHIR R4 at http://HOST:PORT/fhir until Ctrl-C."""
    settings = Settings(
        os.environ, host=host, port=port, data=data, store=store, workers=workers, allow_open=allow_open
    )
    _check_open(settings)
    listener = _listen(settings.host, settings.port)
    settings.port = listener.getsockname()[1]
    _run(settings, listener)


@app.command()
def copy(
    source: Annotated[str, typer.Option("--from", help="store to copy: sqlite:FOLDER or mongodb://host/database")],
    target: Annotated[str, typer.Option("--to", help="store to fill: empty, or what an earlier copy left")],
) -> None:
    """Copies a store with its whole history into another; stopped and started again, it goes on where it was.

    No server may run on an SQLite store meanwhile, nor on the target; a MongoDB source may be in use: copy again to
    bring what was written meanwhile. Give it the same TIERCARE_ZONE and TIERCARE_BASE_URL as the server.
    """
    import asyncio

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from server.store.opening import place
    from server.wiring import copy_store

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("opening", total=None, visible=False)

        def show(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total or None, description=what, visible=True)

        try:
            copied = asyncio.run(copy_store(Settings(os.environ), source, target, show))
        except KeyboardInterrupt as stopped:
            raise _Refused("stopped: the same command goes on where it was") from stopped
    living = ", ".join(f"{type} {count}" for type, count in copied.living.items())
    typer.echo(
        f"{place(target)} holds {copied.versions} versions as {place(source)} does ({copied.brought} brought by this "
        f"run, the change sequence compared) and {copied.claims} claims; living resources counted on both: {living}"
    )
    if copied.late:
        typer.echo("the source was written meanwhile: run it again to bring what came later")


@app.command()
def check() -> None:
    """Looks at the installation: versions, name clashes with other packages, stores and adapters found."""
    problems = []
    for package, owners in sorted(packages_distributions().items()):
        if package in ("server", "adapters", "profiles") and set(owners) != {"tiercare"}:
            others = ", ".join(sorted(set(owners) - {"tiercare"}))
            problems.append(
                f"the package '{package}' also belongs to {others}: install tiercare in an environment of its own"
            )
    typer.echo(f"tiercare {version('tiercare')}, Python {sys.version.split()[0]}")
    for group in ("tiercare.stores", "tiercare.adapters", COMMANDS):
        typer.echo(f"{group}: {', '.join(sorted(point.name for point in entry_points(group=group))) or 'none'}")
    for problem in problems:
        typer.echo(problem, err=True)
    raise typer.Exit(1 if problems else 0)


def main() -> None:
    """Runs a command; an expected error is one sentence on standard error and exit code 1."""
    own = {command.name or _name(command.callback) for command in app.registered_commands}
    if len(sys.argv) < 2 or sys.argv[1] not in own:  # others are loaded only when they may be meant: serve starts fast
        for point in sorted(entry_points(group=COMMANDS), key=lambda point: point.name):
            found = point.load()
            if isinstance(found, typer.Typer):  # a command with commands of its own
                app.add_typer(found, name=point.name)
            else:
                app.command(point.name)(found)
    try:
        app()
    except TiercareError as error:
        typer.echo(f"tiercare: {error}", err=True)
        sys.exit(1)


def _name(function: Callable[..., Any] | None) -> str:
    return function.__name__ if function else ""


def _check_open(settings: Settings) -> None:
    try:
        loopback = settings.host == "localhost" or ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        loopback = False
    if loopback:
        return
    if not settings.allow_open:
        raise _Refused(
            f"there is no authentication yet, so listening on {settings.host} would open all records to the network: "
            "stay on 127.0.0.1, or give --allow-open if something in front protects it"
        )
    typer.echo(f"tiercare: WARNING: open to the network on {settings.host} without authentication", err=True)


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:  # getaddrinfo would take it modulo 65536
        raise _Refused(f"cannot listen on {host}:{port}: a port is a number up to 65535")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise _Refused(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return listener


def _run(settings: Settings, listener: socket.socket) -> None:
    from server import serving
    from server.wiring import base_url, build_app

    def announce() -> None:
        with_workers = f" with {settings.workers} workers" if settings.workers > 1 else ""
        place = f"{base_url(settings)}{with_workers}"
        typer.echo(f"tiercare {version('tiercare')} serves FHIR R4 at {place} (Ctrl-C stops it)")

    _log_plainly()
    if settings.workers == 1:
        serving.serve(build_app(settings), listener, announce)
    else:
        _run_workers(settings, listener, announce)


def _run_workers(settings: Settings, listener: socket.socket, announce: Callable[[], None]) -> None:
    from server.wiring import build_app, page_key
    from server.workers import Supervisor

    if not 1 <= settings.workers <= WORKERS_MAX:
        raise _Refused(f"the setting workers is {settings.workers}: a number from 1 to {WORKERS_MAX} is wanted")
    page_key(settings)  # made before there are several who would make one
    with TemporaryDirectory(prefix="tiercare-") as folder:  # a short path, and nobody else may enter
        relay = f"{folder}/writer"
        Supervisor(settings.workers, listener, lambda n: build_app(settings, relay, writes=n == 0), announce).run()


def _log_plainly() -> None:
    """One line of JSON an event, a traceback without the values of variables: those are patients' data."""
    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


class _Refused(TiercareError):
    """A start that is refused; the message is the sentence."""
