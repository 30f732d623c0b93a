"""`tiercare journal list | show | replay | purge | status`: what became of messages, and what may be done about it."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.gateway.commands import Config, configured, give_up

if TYPE_CHECKING:
    from adapters.engine.journal_file import JournalFile
    from adapters.engine.review import Wanted
    from adapters.gateway.configuration import Configuration

journal = typer.Typer(help="What became of the messages of a gateway.", no_args_is_help=True, add_completion=False)

Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
State = Annotated[str, typer.Option("--state", help="received, mapped, delivered, dead or replaced.")]
From = Annotated[str, typer.Option("--source", help="Name of a source.")]
Kind = Annotated[str, typer.Option("--kind", help="Type of message, as the list shows it.")]
Since = Annotated[datetime | None, typer.Option("--since", help="Came then or later.")]
Until = Annotated[datetime | None, typer.Option("--until", help="Came before then.")]
POLL_SECONDS = 0.2


@journal.command("list")
def list_messages(
    config: Config,
    state: State = "",
    source: From = "",
    kind: Kind = "",
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """Lists messages, newest first."""
    from adapters.engine.review import rows

    with _journal(configured(config)) as file:
        found = rows(file, _wanted((), state, source, kind, since, until), limit)
    if as_json:
        _print_json([_told(row) for row in found])
        return
    columns = ("id", "received", "source", "state", "kind", "number or key", "why")
    _table(
        columns,
        [
            (str(row["id"]), _at(row["received"]), row["source"], row["state"], row["kind"], row["identity"], _why(row))
            for row in found
        ],
    )


@journal.command()
def show(
    config: Config,
    id: Annotated[int, typer.Argument(help="Number of the message.")],
    raw: Annotated[bool, typer.Option("--raw", help="Only its content, byte by byte as it came.")] = False,
    as_json: Json = False,
) -> None:
    """Shows one message: where it came from, what became of it at each destination, which resources it wrote."""
    from adapters.engine import review

    with _journal(configured(config)) as file:
        found = review.message(file, id)
        if found is None:
            give_up(f"there is no message {id}")
        content = review.raw(file, found["content"]["id"])
    if raw:
        sys.stdout.buffer.write(content)
        return
    found = _told(found)
    found["deliveries"] = [_told({**one, "written": json.loads(one["written"])}) for one in found["deliveries"]]
    if as_json:
        _print_json(found)
        return
    _table(("what", "is"), [(name, _cell(value)) for name, value in found.items() if name != "deliveries"])
    columns = ("destination", "state", "attempts", "resources", "problem")
    shown = [
        (
            one["destination"],
            one["state"],
            str(one["attempts"]),
            "\n".join(f"{change:9} {url}" for _, url, change in one["written"]),
            one["problem"],
        )
        for one in found["deliveries"]
    ]
    _table(columns, shown)


@journal.command()
def status(config: Config, as_json: Json = False) -> None:
    """Shows how sources and destinations do. The exit code is 1 when something is wrong: a source is silent, a
    destination out of reach, the journal nearly full."""
    from adapters.engine import review

    configuration = configured(config)
    with _journal(configuration) as file:
        found = review.status(file, configuration.budget_bytes)
    found["sources"] = [_told(one) for one in found["sources"]]
    found["destinations"] = [_told(one) for one in found["destinations"]]
    if as_json:
        _print_json(found)
    else:
        _print_status(found)
    troubled = any(one["silent_since"] for one in found["sources"]) or any(
        one["failures"] for one in found["destinations"]
    )
    if troubled or found["bytes"] > 0.9 * found["budget"]:
        raise typer.Exit(1)


@journal.command()
def replay(
    config: Config,
    ids: Annotated[list[int] | None, typer.Argument(help="Numbers of messages; else the options choose.")] = None,
    state: State = "",
    source: From = "",
    kind: Kind = "",
    since: Since = None,
    until: Until = None,
    force: Annotated[bool, typer.Option("--force", help="Send also what is there already, unchanged.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until they are delivered.")] = True,
) -> None:
    """Maps and delivers messages once more: dead letters after a map was mended, or any others.

    A message that its destinations have already, as it would be made today, writes nothing. Without a running gateway
    this command delivers by itself.
    """
    from adapters.engine.journal_file import JournalError
    from adapters.engine.review import replay as again
    from adapters.gateway.running import NotStarted

    wanted = _wanted(ids or (), state, source, kind, since, until)
    if wanted == _wanted((), "", "", "", None, None):
        give_up("say which messages: their numbers, --state, --source, --kind, --since or --until")
    configuration = configured(config)
    with _journal(configuration) as file:
        chosen = again(file, wanted, time.time(), force=force)
        typer.echo(f"{len(chosen)} messages are tried again")
        if not wait or not chosen:
            return
        try:
            left = asyncio.run(_deliver(configuration, file, chosen))
        except NotStarted:  # a gateway runs: it is at work on them
            left = asyncio.run(_follow(file, chosen))
        except JournalError as error:
            give_up(str(error))
        ends = ", ".join(f"{count} {name}" for name, count in _ends(file, chosen).items())
    typer.echo(f"{len(chosen)} messages: {ends}")
    if left:
        give_up(f"{left} messages wait: a destination is out of reach; the gateway goes on trying")


@journal.command()
def purge(
    config: Config,
    state: Annotated[str, typer.Option("--state", help="delivered, dead or replaced.")],
    older_than: Annotated[str, typer.Option("--older-than", metavar="TIME", help='Such as "7d" or "12h".')],
    source: From = "",
) -> None:
    """Drops finished messages. What waits for its delivery is never dropped."""
    from adapters.engine.journal import Journal
    from adapters.engine.records import FINAL
    from adapters.engine.retention import drop
    from adapters.gateway.configuration import duration

    if state not in FINAL:
        give_up(f"only {', '.join(FINAL)} messages can be dropped")
    try:
        seconds = duration(older_than)
    except ValueError as error:
        give_up(f"--older-than {error}")
    with _journal(configured(config)) as file:
        count = asyncio.run(drop(Journal(file), state, time.time() - seconds, source))
    typer.echo(f"{count} messages dropped")


# -------------------------------------------------------------------------------------------------- at work
async def _deliver(configuration: "Configuration", file: "JournalFile", chosen: list[int]) -> int:
    """Without a gateway: an engine of our own until the messages are done; how many are left."""
    from adapters.gateway.running import engine

    async with engine(configuration):
        return await _follow(file, chosen)


async def _follow(file: "JournalFile", chosen: list[int]) -> int:
    """A progress bar until the messages are done, or a destination does not answer; how many are left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from adapters.engine.review import status as look
    from adapters.engine.review import unfinished

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("delivering", total=len(chosen))
        while True:
            left = unfinished(file, chosen)
            progress.update(task, completed=len(chosen) - left)
            if not left or any(one["failures"] > 1 for one in look(file, 0)["destinations"]):
                return left
            await asyncio.sleep(POLL_SECONDS)


def _ends(file: "JournalFile", chosen: list[int]) -> dict[str, int]:
    from adapters.engine.review import Wanted, rows

    ends: dict[str, int] = {}
    for at in range(0, len(chosen), 500):
        for row in rows(file, Wanted(ids=chosen[at : at + 500]), 500):
            ends[row["state"]] = ends.get(row["state"], 0) + 1
    return ends


@contextmanager
def _journal(configuration: "Configuration") -> Iterator["JournalFile"]:
    """The journal of a configuration, which must be there: asking makes none."""
    from adapters.engine.journal_file import JournalError, JournalFile

    if not configuration.journal.exists():
        give_up(f"there is no journal {configuration.journal}: no gateway has run with this configuration")
    try:
        file = JournalFile(configuration.journal)
    except JournalError as error:
        give_up(str(error))
    try:
        yield file
    finally:
        file.close()


def _wanted(
    ids: "list[int] | tuple[()]", state: str, source: str, kind: str, since: datetime | None, until: datetime | None
) -> "Wanted":
    from adapters.engine.records import STATES
    from adapters.engine.review import Wanted

    if state and state not in STATES:
        give_up(f"there is no state {state}; there are {', '.join(STATES)}")
    begin, end = (at.timestamp() if at else 0.0 for at in (since, until))
    return Wanted(tuple(ids), state, source, kind, begin, end)


# -------------------------------------------------------------------------------------------------- on the screen
_TIMES = ("received", "changed", "due", "leased_until", "last", "silent_since", "paused_until", "last_stored")


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its times as people and programs read them."""
    return {name: (_at(value) if value else None) if name in _TIMES else value for name, value in row.items()}


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def _why(row: dict[str, Any]) -> str:
    place = ", ".join(part for part in (row["field"], f"line {row['line']}" if row["line"] else "") if part)
    return f"{place}: {row['reason']}" if place else row["reason"]


def _cell(value: object) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _print_status(found: dict[str, Any]) -> None:
    rows = []
    for one in found["sources"]:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(one["messages"].items()))
        alarm = f"SILENT since {one['silent_since']}" if one["silent_since"] else ""
        rows.append((one["name"], one["kind"], one["last"] or "", counts, alarm))
    _table(("source", "kind", "last message", "messages", "alarm"), rows)
    rows = []
    for one in found["destinations"]:
        alarm = f"OUT OF REACH, {one['failures']} tries: {one['problem']}" if one["failures"] else ""
        rows.append((one["name"], one["url"], one["last_stored"] or "", str(one["waiting"]), alarm))
    _table(("destination", "url", "last delivery", "waiting", "alarm"), rows)
    typer.echo(f"{found['bytes'] / 2**20:.1f} of {found['budget'] / 2**20:.0f} MB")


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table()
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(escape(cell) for cell in row))
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(shown)
