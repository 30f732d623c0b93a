"""The command lines of those who write adapters (`tiercare adapter test|new|guess`), of `poll` and of `soap`."""

import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer

adapter = typer.Typer(help="Write adapters: test them, begin one, propose meanings for columns.", no_args_is_help=True)


@adapter.command("test")
def test_cases(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folders that hold input.* and expected.json.")],
    name: Annotated[str, typer.Option("--adapter", metavar="NAME", help="Do not guess the format.")] = "",
    write: Annotated[bool, typer.Option("--write", help="Write what comes out as what is expected.")] = False,
) -> None:
    """Converts every input and compares it with what is expected; differences are shown line by line, in colour."""
    from rich.console import Console
    from rich.markup import escape

    from adapters.golden import cases, run

    found = list(cases(folder))
    if not found:
        _give_up(f"{folder} holds no input.* file")
    console = Console(highlight=False, soft_wrap=True)
    colours = {"+": "green", "-": "red", "@": "cyan"}
    failed = 0
    for case in found:
        outcome = run(case, name, write)
        failed += not outcome.good
        mark = (
            "written"
            if write and outcome.good
            else "ok"
            if outcome.good
            else "DIFFERS"
            if outcome.difference
            else "FAILED"
        )
        console.print(
            f"{mark:8}{escape(str(case.folder))} {escape(outcome.trouble)}", style="" if outcome.good else "bold red"
        )
        for line in outcome.difference:
            console.print(escape(line), style=colours.get(line[:1], ""))
    typer.echo(f"{len(found)} cases, {failed} not as expected")
    if failed:
        raise typer.Exit(1)


@adapter.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A Python name: lab_rows.")],
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="Where the package's folder is made.")] = Path(),
) -> None:
    """Writes the skeleton of an adapter in a package of its own, with a golden case and a test that pass."""
    from adapters.skeleton import AlreadyThere, NotAName, write

    try:
        folder = write(name, into)
    except (AlreadyThere, NotAName) as error:
        _give_up(str(error))
    typer.echo(f"{folder} is written. pip install -e {folder}, then tiercare adapter test {folder / 'cases'}")


@adapter.command("guess")
def guess_columns(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV, TSV or XLSX file.")],
) -> None:
    """Proposes what the columns of a table mean: by name, by names like it, by what the cells hold."""
    from rich.console import Console
    from rich.table import Table

    from adapters.his_tables.guess import as_table, guess
    from adapters.his_tables.preview import Unreadable, preview

    try:
        header, rows = preview(file.read_bytes())
    except (OSError, Unreadable) as error:
        _give_up(f"{file}: {error}")
    found = guess(header, rows)
    shown = Table(title=str(file))
    for title in ("column", "role", "how", "why", "example"):
        shown.add_column(title, overflow="fold")
    colours = {"known": "green", "name": "yellow", "values": "yellow", "none": "red"}
    for one in found:
        shown.add_row(one.column, one.role or "-", one.how, one.why, one.example[:40], style=colours[one.how])
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(shown)
    proposals = as_table(found)
    if proposals:
        typer.echo("proposed lines for tables/columns.csv:")
        typer.echo(proposals)


def poll(
    database: Annotated[str, typer.Option("--database", metavar="URL", help="SQLAlchemy's URL of the database.")],
    query: Annotated[Path, typer.Option("--query", metavar="FILE", help="SQL that names :bookmark, ordered by it.")],
    column: Annotated[str, typer.Option("--column", help="The column of the result that is the bookmark.")],
    bookmark: Annotated[Path, typer.Option("--bookmark", metavar="FILE", help="Where the bookmark is kept.")],
    send: Annotated[str, typer.Option("--send", metavar="URL", help="FHIR base URL of the server.")],
    start: Annotated[str, typer.Option("--start", help="The bookmark of the first poll.")] = "0",
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", help="Poll again; 0: once.")] = 0,
    name: Annotated[
        str, typer.Option("--adapter", metavar="NAME", help="The adapter that reads a row.")
    ] = "his_tables",
) -> None:
    """Sends new and changed rows of a database to a FHIR server; a row is sent again until the server has it."""
    from sqlalchemy.exc import SQLAlchemyError

    from adapters.delivery import Target
    from adapters.listeners.database import Source
    from adapters.listeners.database import poll as once
    from adapters.registry import NoAdapter
    from adapters.registry import adapter as load

    target = Target(send)
    try:
        source, reader = Source(database, query.read_text("utf-8"), column, start), load(name)
        while True:
            done = once(source, reader, target, bookmark)
            typer.echo(
                f"{done.sent} rows sent, {done.refused} at fault{'; stopped: ' + done.stopped if done.stopped else ''}"
            )
            if not every:
                break
            time.sleep(every)
    except KeyboardInterrupt:
        return
    except (OSError, ValueError, NoAdapter, SQLAlchemyError) as error:
        _give_up(str(error).splitlines()[0])
    finally:
        target.close()
    if done.stopped or done.refused:
        raise typer.Exit(1)


def soap(
    send: Annotated[str, typer.Option("--send", metavar="URL", help="FHIR base URL of the server.")],
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = 8082,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    allow_open: Annotated[bool, typer.Option("--allow-open", help="Listen beyond loopback; nobody logs in.")] = False,
) -> None:
    """Takes V3 messages and referrals over SOAP and acknowledges after the server's commit; until Ctrl-C."""
    from adapters.delivery import Target
    from adapters.listeners.soap import SoapService, soap_server

    target = Target(send)
    try:
        server = soap_server(host, port, SoapService(target.deliver), allow_open=allow_open)
        typer.echo(f"SOAP on http://{host}:{port}/?wsdl, to {target.base}")
        server.run()
    except ValueError as error:
        _give_up(str(error))
    finally:
        target.close()


def _give_up(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(1)
