"""Which adapters there are, and which one reads a content. They are found by the entry point `tiercare.adapters`."""

from functools import cache
from importlib.metadata import entry_points

from adapters.contract import Adapter

GROUP = "tiercare.adapters"


class NoAdapter(Exception):
    """No adapter, or more than one, reads the content; or the one asked for does not exist."""


def names() -> list[str]:
    return sorted({point.name for point in entry_points(group=GROUP)})


@cache
def adapter(name: str) -> Adapter:
    """The adapter of this name. Raises NoAdapter."""
    for point in entry_points(group=GROUP, name=name):
        found: Adapter = point.load()
        return found
    raise NoAdapter(f"there is no adapter {name}; there are {', '.join(names())}")


def choose(content: bytes, file_name: str = "", wanted: str = "") -> Adapter:
    """The adapter called `wanted`, else the only one that recognises the content. Raises NoAdapter."""
    if wanted:
        return adapter(wanted)
    fitting = [name for name in names() if adapter(name).recognises(content, file_name)]
    specific = [name for name in fitting if not getattr(adapter(name), "general", False)]
    fitting = specific or fitting  # an adapter that reads any table gives way to one that knows this table
    if len(fitting) == 1:
        return adapter(fitting[0])
    what = file_name or "the content"
    if not fitting:
        raise NoAdapter(f"no adapter recognises {what}; there are {', '.join(names())}")
    raise NoAdapter(f"several adapters recognise {what}: {', '.join(fitting)}; name one of them")
