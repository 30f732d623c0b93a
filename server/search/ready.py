"""Whether a parameter can be searched by: it is indexed, and what was stored before it came is indexed too."""

from server.errors import NotSupported, Unavailable
from server.search.index import left_out
from server.search.kinds.kind import Setting


def check_ready(type: str, code: str, setting: Setting, name: str) -> None:
    """Raises NotSupported (never indexed) or Unavailable (not yet), naming the parameter as it was asked."""
    why_not = left_out(type, setting.extra).get(code)
    if why_not:
        raise NotSupported(why_not, name)
    waiting = setting.waiting.get(f"{type}.{code}")
    if waiting:
        raise Unavailable(waiting, name)
