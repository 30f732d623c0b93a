"""A content as it came in -> its messages, and what the journal tells each of them by."""

import hashlib

from adapters.contract import Adapter, Identity, Parsed
from adapters.engine.loading import broke_off
from adapters.engine.records import Part, seconds
from adapters.kit.habits import Habits, of_source
from adapters.runner import identify


def cut(
    adapter: Adapter, content: bytes, name: str, parsed: list[Parsed] | None, habits: Habits
) -> tuple[list[Parsed], list[Part]]:
    """Messages and parts, in their order; `parsed`: the messages, if they were cut already. Never raises."""
    with of_source(habits):
        try:
            parsed = adapter.parse(content, name) if parsed is None else parsed
        except Exception as error:  # a mistake in an adapter: the content is kept, and read again when it is mended
            parsed = [Parsed(content, "", None, [broke_off(error)])]
        return parsed, [_part(adapter, one) for one in parsed]


def _part(adapter: Adapter, parsed: Parsed) -> Part:
    try:
        known = identify(parsed, adapter)
    except Exception:  # a mistake in an adapter: the message is known by its bytes alone
        known = Identity("", parsed.raw)
    span = seconds(known.sent)
    return Part(hashlib.sha256(known.content).digest(), known.key, span[0] if span else None)
