"""uri: compared exactly (https://hl7.org/fhir/R4/search.html#uri)."""

from typing import Any

from server.errors import Invalid
from server.keys import TERM, Term, Test
from server.search.kinds.kind import Add, Asked, Kind, Setting, unescape


def _uri(value: Any, _: str, __: Setting, add: Add) -> None:
    add((value, "", 0, 0))
    if "|" in value:  # a canonical is found with and without its version
        add((value.split("|", 1)[0], "", 0, 0))


def _test(asked: Asked, _: Setting) -> Test:
    if not asked.value:
        raise Invalid("a uri to search for must not be empty", asked.name)
    return Term(asked.param, unescape(asked.value), "")


URI = Kind(TERM, dict.fromkeys(("uri", "url", "canonical", "oid", "uuid"), _uri), _test)
