"""uri: compared exactly (https://hl7.org/fhir/R4/search.html#uri)."""

from typing import Any

from server.errors import Invalid
from server.keys import TERM, Begins, Term, Test
from server.keys import Any as AnyOf
from server.search.kinds.kind import Add, Asked, Kind, Setting, unescape


def _uri(value: Any, _: str, __: Setting, add: Add) -> None:
    add((value, "", 0, 0))
    if "|" in value:  # a canonical is found with and without its version
        add((value.split("|", 1)[0], "", 0, 0))


def _test(asked: Asked, _: Setting) -> Test:
    """Without a modifier the uri itself; `below`: it and all under its path; `above`: it and what its path is under."""
    value = unescape(asked.value)
    if not value:
        raise Invalid("a uri to search for must not be empty", asked.name)
    if asked.modifier == "below":
        here = Term(asked.param, value.rstrip("/"), "")
        return AnyOf((here, Begins(asked.param, value.rstrip("/") + "/")))
    if asked.modifier == "above":
        return AnyOf(tuple(Term(asked.param, one, "") for one in _ancestors(value)))
    return Term(asked.param, value, "")


def _ancestors(value: str) -> list[str]:
    """`http://a/b/c` -> itself, `http://a/b/c/`, `http://a/b`, `http://a/b/` … down to the host."""
    scheme, slashes, rest = value.rstrip("/").rpartition("://") if "://" in value else ("", "", value.rstrip("/"))
    parts = rest.split("/")
    paths = [scheme + slashes + "/".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return [value, *(one for path in paths for one in (path, path + "/") if one != value)]


URI = Kind(
    TERM,
    dict.fromkeys(("uri", "url", "canonical", "oid", "uuid"), _uri),
    _test,
    frozenset({"above", "below"}),
)
