"""The gateway's configuration: a TOML file, a table a source and a destination; what they may say is listed here."""

import re
import ssl
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, cast

from adapters.engine.engine import Source
from adapters.engine.lanes import Retry
from adapters.engine.records import FINAL
from adapters.engine.retention import Retention
from adapters.kit import charset
from adapters.kit.habits import Habits
from adapters.listeners.folder import SETTLED_SECONDS
from adapters.registry import names


class ConfigurationError(Exception):
    """What is wrong in the file, as one plain sentence that names the place."""


@dataclass(frozen=True, slots=True)
class Output:
    """A FHIR server that messages are delivered to; `timeout` in seconds, of one request."""

    name: str
    url: str
    parallel: int = 4
    timeout: float = 60.0
    retry: Retry = field(default_factory=Retry)


@dataclass(frozen=True, slots=True)
class Input:
    """A source and how its messages come: the options of its kind."""

    source: Source
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Configuration:
    journal: Path
    budget_bytes: int
    retention: Retention
    outputs: tuple[Output, ...]
    inputs: tuple[Input, ...]


# ---------------------------------------------------------------------------------------------------- kinds of value
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


def duration(value: object) -> float:
    """Seconds of a text such as `15m`. Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *(ms|s|m|h|d)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('is a time such as "30s", "15m", "12h" or "14d"')
    return float(match[1]) * _UNITS[match[2]]


def _size(value: object) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([KMGT]?B)", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('is a size such as "64 MB" or "20 GB"')
    return int(float(match[1]) * _SIZES[match[2]])


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("is a text in quotes")
    return value


def _texts(value: object) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(one, str) and one for one in values):
        raise ValueError("is a text in quotes, or a list of them")
    return tuple(values)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is true or false")
    return value


def _whole(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"is a whole number from {low} to {high}")
        return value

    return read


def _one_of(*allowed: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in allowed:
            raise ValueError(f"is one of {', '.join(allowed)}")
        return str(value)

    return read


def _url(value: object) -> str:
    if not isinstance(value, str) or not re.match(r"https?://[^/]", value):
        raise ValueError("is a FHIR base URL: it begins with http:// or https://")
    return value


def _zone(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"Z|[+-](0\d|1[0-4]):[0-5]\d", value):
        raise ValueError('is an offset such as "+08:00"')
    return value


def _charset(value: object) -> str:
    if not isinstance(value, str) or not charset.known(value):
        raise ValueError("is a charset such as utf-8 or gb18030")
    return value


def _networks(value: object) -> tuple[Any, ...]:
    try:
        return tuple(ip_network(one) for one in _texts(value))
    except ValueError:
        raise ValueError('is a list of addresses and networks such as ["10.1.0.0/16"]') from None


def _path(value: object) -> Path:
    return Path(_text(value)).expanduser()


def _keep(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError('is a table such as { delivered = "30d", dead = "365d" }')
    return value


def _adapter(value: object) -> str:
    return _one_of(*names())(value)


# ------------------------------------------------------------------------------------------- what a table may say
REQUIRED = object()
Table = Mapping[str, tuple[Callable[[object], Any], Any]]

JOURNAL: Table = {"path": (_path, REQUIRED), "disk": (_size, 20 << 30), "keep": (_keep, {})}
DESTINATION: Table = {
    "url": (_url, REQUIRED),
    "parallel": (_whole(1, 64), 4),
    "timeout": (duration, 60.0),
    "retry_first": (duration, 1.0),
    "retry_longest": (duration, 3600.0),
    "retry_pause": (duration, 60.0),
    "give_up": (duration, 14 * 86400.0),
}
SOURCE: Table = {
    "kind": (str, REQUIRED),
    "destination": (_texts, REQUIRED),
    "adapter": (_adapter, ""),
    "ack": (_one_of("stored", "committed"), "stored"),
    "zone": (_zone, "+08:00"),
    "charset": (_charset, ""),
    "silence_after": (duration, 0.0),
}
_LISTENING: Table = {
    "host": (_text, "127.0.0.1"),
    "port": (_whole(0, 65535), REQUIRED),
    "allow_open": (_flag, False),
    "commit_time": (duration, 60.0),
    "enhanced": (_flag, True),
}
KINDS: dict[str, Table] = {
    "mllp": {
        **_LISTENING,
        "allow": (_networks, ()),
        "certificate": (_path, None),
        "private_key": (_path, None),
        "client_authorities": (_path, None),
        "frame_bytes": (_size, 16 << 20),
        "buffer_bytes": (_size, 256 << 20),
        "frame_time": (duration, 30.0),
        "idle_time": (duration, 600.0),
        "connections": (_whole(1, 100_000), 200),
        "connections_per_peer": (_whole(1, 100_000), 50),
    },
    "http": {**_LISTENING, "body_bytes": (_size, 32 << 20)},
    "folder": {
        "path": (_path, REQUIRED),
        "pattern": (_text, "*"),
        "every": (duration, 2.0),
        "settled": (duration, SETTLED_SECONDS),
        "file_bytes": (_size, 256 << 20),
    },
    "file": {
        "path": (_path, REQUIRED),
        "every": (duration, 2.0),
        "settled": (duration, SETTLED_SECONDS),
        "file_bytes": (_size, 256 << 20),
    },
}


def read(path: Path) -> Configuration:
    """The configuration in a file. Raises ConfigurationError."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from None
    try:
        return _configuration(content)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def options(kind: str, **given: Any) -> dict[str, Any]:
    """The options of a kind as a configuration without them would have them, but for those given."""
    return {name: default for name, (_, default) in KINDS[kind].items()} | given


def tls(options: Mapping[str, Any]) -> ssl.SSLContext | None:
    """TLS of a listener by its certificate and key; with client_authorities, only for peers who have one of theirs."""
    if options["certificate"] is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options["certificate"], options["private_key"])
        if options["client_authorities"] is not None:
            context.load_verify_locations(options["client_authorities"])
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(f"TLS with {options['certificate']} cannot be set up: {error}") from None
    return context


def _configuration(content: dict[str, Any]) -> Configuration:
    _only(content, ("journal", "destination", "source"), "")
    journal = _table(content.get("journal"), JOURNAL, "journal")
    outputs = [_output(name, table) for name, table in _tables(content.get("destination"), "destination").items()]
    inputs = [_input(name, table, outputs) for name, table in _tables(content.get("source"), "source").items()]
    return Configuration(journal["path"], journal["disk"], _retention(journal["keep"]), tuple(outputs), tuple(inputs))


def _retention(keep: dict[str, object]) -> Retention:
    default = dict(Retention().keep)
    for state, value in keep.items():
        place = f"journal.keep.{state}"
        if state not in FINAL:
            raise ConfigurationError(f"{place}: only {', '.join(FINAL)} messages are ever dropped")
        default[state] = _value(duration, value, place)
    return Retention(default)


def _output(name: str, table: object) -> Output:
    read = _table(table, DESTINATION, f"destination.{name}")
    retry = Retry(read["retry_first"], read["retry_longest"], read["retry_pause"], read["give_up"])
    return Output(name, read["url"], read["parallel"], read["timeout"], retry)


def _input(name: str, table: object, outputs: list[Output]) -> Input:
    place = f"source.{name}"
    kind = table.get("kind") if isinstance(table, dict) else None
    if kind not in KINDS:
        raise ConfigurationError(f"{place}.kind is one of {', '.join(KINDS)}")
    read = _table(table, {**SOURCE, **KINDS[kind]}, place)
    known = {output.name for output in outputs}
    if unknown := [one for one in read["destination"] if one not in known]:
        raise ConfigurationError(f"{place}.destination: there is no destination {unknown[0]}")
    if (read.get("certificate") is None) != (read.get("private_key") is None):
        raise ConfigurationError(f"{place}: certificate and private_key go together")
    if kind in ("folder", "file") and read["ack"] != "stored":
        raise ConfigurationError(f"{place}.ack: nobody waits for the answer to a file, so it is stored")
    ack = cast(Literal["stored", "committed"], read["ack"])
    habits = Habits(read["zone"], read["charset"])
    source = Source(name, kind, read["destination"], ack, read["adapter"], habits, read["silence_after"])
    return Input(source, {option: read[option] for option in KINDS[kind]})


def _tables(value: object, place: str) -> dict[str, object]:
    if not isinstance(value, dict) or not value:
        raise ConfigurationError(f"there is no [{place}.NAME]")
    return value


def _table(value: object, known: Table, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigurationError(f"there is no [{place}]")
    _only(value, tuple(known), place)
    read = {}
    for name, (reader, default) in known.items():
        if name in value:
            read[name] = _value(reader, value[name], f"{place}.{name}")
        elif default is REQUIRED:
            raise ConfigurationError(f"{place}.{name} is missing")
        else:
            read[name] = default
    return read


def _value(reader: Callable[[object], Any], value: object, place: str) -> Any:
    try:
        return reader(value)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{place} {error}") from None


def _only(table: Mapping[str, object], known: tuple[str, ...], place: str) -> None:
    if unknown := [name for name in table if name not in known]:
        where = f"{place}.{unknown[0]}" if place else unknown[0]
        raise ConfigurationError(f"{where} is not known; there are {', '.join(known)}")
