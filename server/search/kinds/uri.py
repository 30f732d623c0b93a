"""uri: compared exactly (https://hl7.org/fhir/R4/search.html#uri)."""

from collections.abc import Iterator
from typing import Any

from server.errors import Invalid
from server.keys import TERM, Term, Test
from server.search.kinds.kind import Asked, Kind, Setting, Value, unescape


def _uri(value: Any, _: str, __: Setting) -> Iterator[Value]:
    yield Value(value)
    if "|" in value:  # a canonical is found with and without its version
        yield Value(value.split("|", 1)[0])


def _test(asked: Asked, _: Setting) -> Test:
    if not asked.value:
        raise Invalid("a uri to search for must not be empty", asked.name)
    return Term(asked.param, unescape(asked.value), "")


URI = Kind(TERM, dict.fromkeys(("uri", "url", "canonical", "oid", "uuid"), _uri), _test)
