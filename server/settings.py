"""The one table of settings: name, default, what it does. TIERCARE_<NAME> in the environment is read here and nowhere
else; command-line options win over it. docs/settings.md shows the table, and a test compares the two."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.errors import Invalid


@dataclass(frozen=True, slots=True)
class Setting:
    name: str
    default: Any  # its type is the setting's type
    help: str


SETTINGS = (
    Setting("host", "127.0.0.1", "address to listen on; anything but loopback needs allow_open"),
    Setting("port", 8080, "port to listen on; 0 takes a free one"),
    Setting("data", "data", "folder of the embedded store and of the key that signs page links"),
    Setting("store", "", "store URL, such as mongodb://127.0.0.1:27017/tiercare; empty: SQLite in the data folder"),
    Setting("workers", 1, "processes that serve; on SQLite one of them writes, the others read and forward to it"),
    Setting("base_url", "", "public base URL of the FHIR API; empty: http://<host>:<port>/fhir"),
    Setting("zone", "Asia/Shanghai", "time zone of dates that do not name one"),
    Setting("text_search", "narrative", "what _text and _content can search: off, narrative (_text only) or content"),
    Setting("allow_open", False, "listen beyond loopback although there is no authentication; warns on every start"),
    Setting("update_as_create", True, "PUT to an unknown id creates the resource under it"),
    Setting("conditional_delete", "single", "DELETE by criteria: not-supported, single (412 for several) or multiple"),
    Setting("delete_max", 1000, "resources that one conditional delete may delete"),
    Setting("patch_max", 100_000, "operations of a patch, and values that a JSON Patch may put in"),
    Setting("expunge", False, "$expunge may remove versions for good; without it they are kept for ever"),
    Setting("expunge_max", 1000, "versions that one $expunge may remove"),
    Setting(
        "meta_max", 10_000, "resources with profiles, tags or labels that one $meta of a type or the system may read"
    ),
    Setting("count_default", 20, "hits on a page when _count is not given"),
    Setting("count_max", 1000, "hits on a page at most"),
    Setting("codes_max", 1000, "codes that a value set or a hierarchy may stand for in a search"),
    Setting("include_max", 1000, "resources that _include and _revinclude may add to a page"),
    Setting("include_depth", 8, "references away from a hit that _include:iterate may lead"),
    Setting("query_timeout", 10, "seconds a search or a count may take, else it is answered 422 with the code timeout"),
    Setting("explain", False, "a search with _explain=true is answered with its plan: for whoever runs the server"),
    Setting("search_values_max", 400, "parameters of a search and alternatives of their values, together"),
    Setting("everything_max", 10_000, "resources in one answer of $everything when _count is not given"),
    Setting("history_max", 1000, "versions on a history page at most, and looked at for a page of _at"),
    Setting("bundle_entries_max", 5000, "entries of a batch or transaction"),
    Setting("body_max_bytes", 50 * 2**20, "bytes of a request body"),
    Setting("body_timeout", 60, "seconds a client has to send a request body, else 408; 0: no limit"),
    Setting("gzip_min_bytes", 1400, "bytes from which on an answer is gzipped for clients that take it; 0: never"),
    Setting("write_attempts", 10, "tries of a write that meets other writers before it is answered 409"),
    Setting("page_key", "", "secret that signs page links; empty: one is kept in the data folder"),
)


class Settings:
    """Values of the table as attributes."""

    host: str
    port: int
    data: str
    store: str
    workers: int
    base_url: str
    zone: str
    text_search: str
    allow_open: bool
    update_as_create: bool
    conditional_delete: str
    delete_max: int
    patch_max: int
    expunge: bool
    expunge_max: int
    meta_max: int
    count_default: int
    count_max: int
    codes_max: int
    include_max: int
    include_depth: int
    query_timeout: float
    explain: bool
    search_values_max: int
    everything_max: int
    history_max: int
    bundle_entries_max: int
    body_max_bytes: int
    body_timeout: int
    gzip_min_bytes: int
    write_attempts: int
    page_key: str

    def __init__(self, environment: Mapping[str, str], **given: Any) -> None:
        """`given` values that are not None win over TIERCARE_* of the environment, and that over the default.

        Raises Invalid for a value of the wrong type, and for a TIERCARE_* name that is in no table.
        """
        known = {f"TIERCARE_{setting.name.upper()}" for setting in SETTINGS} | {"TIERCARE_SAMPLES"}
        for name in environment:
            if name.startswith("TIERCARE_") and name not in known:
                raise Invalid(f"the environment sets {name}, but there is no such setting")
        for setting in SETTINGS:
            value = given.get(setting.name)
            if value is None:
                text = environment.get(f"TIERCARE_{setting.name.upper()}")
                value = setting.default if text is None else _read(setting, text)
            setattr(self, setting.name, value)


def _read(setting: Setting, text: str) -> Any:
    if isinstance(setting.default, bool):
        if text.lower() in ("1", "true", "yes", "0", "false", "no", ""):
            return text.lower() in ("1", "true", "yes")
    elif isinstance(setting.default, int):
        if text.strip().lstrip("-").isdigit():
            return int(text)
    else:
        return text
    raise Invalid(f"TIERCARE_{setting.name.upper()} is '{text}': a {type(setting.default).__name__} is wanted")
