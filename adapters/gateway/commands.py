"""The command line of the gateway: `tiercare gateway --config FILE`."""

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from adapters.gateway.configuration import Configuration

Config = Annotated[Path, typer.Option("--config", metavar="FILE", help="The gateway's configuration, a TOML file.")]


def gateway(
    config: Config,
    check: Annotated[bool, typer.Option("--check", help="Only read the configuration.")] = False,
) -> None:
    """Takes messages from the sources of a configuration, keeps them in a journal and delivers them, until Ctrl-C.

    What has been acknowledged is never lost: it is on disk before its sender hears of it, and it is tried for days.
    `tiercare journal` shows what became of it.
    """
    configuration = configured(config)
    if check:
        sources = ", ".join(f"{input.source.name} ({input.source.kind})" for input in configuration.inputs)
        typer.echo(f"{config} is in order: {sources}")
        return
    serve(configuration)


def configured(config: Path) -> "Configuration":
    """The configuration in a file, or the end with one plain sentence."""
    from adapters.gateway.configuration import ConfigurationError, read

    try:
        return read(config)
    except ConfigurationError as error:
        give_up(str(error))


def serve(configuration: "Configuration") -> None:
    """Runs a gateway until a signal ends it; what keeps it from starting is one plain sentence."""
    from adapters.engine.journal_file import JournalError
    from adapters.gateway.configuration import ConfigurationError
    from adapters.gateway.running import NotStarted, run

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    import uvloop

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(configuration, typer.echo))
    except (ConfigurationError, JournalError, NotStarted) as error:
        give_up(str(error))


def give_up(text: str) -> NoReturn:
    """Ends the command with one plain sentence and exit code 1."""
    typer.echo(text, err=True)
    raise typer.Exit(1)
