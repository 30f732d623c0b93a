"""Opens a store by its URL through the entry-point group `tiercare.stores` (`async open(url, query_timeout)`)."""

from collections.abc import Awaitable, Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

from server.errors import Invalid
from server.store.port import QUERY_TIMEOUT, Store

GROUP = "tiercare.stores"


async def open_store(url: str, query_timeout: float = QUERY_TIMEOUT) -> Store:
    """`sqlite:///path/to/folder` or `mongodb://host:port/database`; a read over query_timeout seconds is TooCostly with
    the code `timeout`. Raises Invalid with a sentence to act on."""
    scheme = urlsplit(url).scheme
    known = {point.name: point for point in entry_points(group=GROUP)}
    if scheme not in known:
        raise Invalid(f"no store is installed for '{scheme or url}': known are {', '.join(sorted(known))}")
    try:
        opener = cast(Callable[[str, float], Awaitable[Store]], known[scheme].load())
    except ModuleNotFoundError as missing:
        extra = scheme.partition("+")[0]
        raise Invalid(
            f"the store '{scheme}' needs {missing.name}: install the extra with pip install 'tiercare[{extra}]'"
        ) from missing
    return await opener(url, query_timeout)


def place(url: str) -> str:
    """What a URL names, without credentials and options: equal for two spellings of one store, fit to be shown."""
    parts = urlsplit(url)
    if parts.netloc:
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}{parts.path}"
    return f"{parts.scheme}:{Path(unquote(parts.path)).resolve()}"
