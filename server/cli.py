"""The command `tiercare`: serve and check live here, other packages bring theirs by the entry point
`tiercare.commands`. Whatever goes wrong ends in one plain sentence and a non-zero exit."""

import contextlib
import ipaddress
import os
import socket
import sys
from collections.abc import Callable
from importlib.metadata import entry_points, packages_distributions, version
from typing import Annotated, Any

import typer

from server.errors import TiercareError
from server.settings import Settings

COMMANDS = "tiercare.commands"
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
    allow_open: Annotated[
        bool | None, typer.Option("--allow-open", help="listen beyond loopback without authentication")
    ] = None,
) -> None:
    """Serves FHIR R4 at http://HOST:PORT/fhir until Ctrl-C."""
    settings = Settings(os.environ, host=host, port=port, data=data, store=store, allow_open=allow_open)
    _check_open(settings)
    listener = _listen(settings.host, settings.port)
    settings.port = listener.getsockname()[1]
    _run(settings, listener)


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
    import uvicorn

    from server.wiring import base_url, build_app

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                typer.echo(f"tiercare {version('tiercare')} serves FHIR R4 at {base_url(settings)} (Ctrl-C stops it)")

    _log_plainly()
    fhir = build_app(settings)
    config = uvicorn.Config(
        fhir,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="critical",  # what goes wrong at start is said below, what goes wrong later by the app's own log
        backlog=1024,
        timeout_graceful_shutdown=5,
    )
    server = Server(config)
    with contextlib.suppress(SystemExit):  # uvicorn leaves with a bare code when the store cannot be opened
        server.run(sockets=[listener])
    if fhir.failure is not None:
        raise fhir.failure
    if not server.started:
        raise _Refused("the server did not start")


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
