"""The first resource of a document or message, indexed with its Bundle: `Bundle?composition.…`, `Bundle?message.…`
(https://hl7.org/fhir/R4/bundle.html#search).

Its parameters stand under the Bundle's own: `Composition.type` as `Bundle.composition.type`. Its references are those
of the Bundle: one to an entry's `urn:` fullUrl is a link to the Type/id of that entry.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from server.errors import NotSupported
from server.keys import LINK, TERM, All, Backlinked, Entry, Ids, Linked, Not, Stamped, Term, Test, Together
from server.keys import Any as AnyOf


class First(NamedTuple):
    """bundle: the Bundle.type; type: of its first resource."""

    bundle: str
    type: str


FIRST: Mapping[str, First] = {
    "composition": First("document", "Composition"),
    "message": First("message", "MessageHeader"),
}
"""Search parameter of Bundle -> what it is about."""


def entries(bundle: dict[str, Any], index: Callable[[dict[str, Any]], tuple[Entry, ...]]) -> list[Entry]:
    """What a Bundle is found by through its first resource; `index` gives the entries of a resource."""
    there = bundle.get("entry") or ()
    resource = there[0].get("resource") if there else None
    for code, first in FIRST.items():
        if resource and bundle.get("type") == first.bundle and resource["resourceType"] == first.type:
            links = _full_urls(there)
            found = [
                entry._replace(
                    param=_param(entry.param, code),
                    key=links.get(entry.key, entry.key) if entry.shape == LINK else entry.key,
                )
                for entry in index(resource)
            ]
            if "id" in resource:
                found.append(Entry(TERM, f"Bundle.{code}._id", resource["id"]))
                found.append(Entry(LINK, f"Bundle.{code}", f"{first.type}/{resource['id']}"))
            return list(dict.fromkeys(found))
    return []


def _full_urls(there: Sequence[dict[str, Any]]) -> dict[str, str]:
    links = {}
    for entry in there:
        resource, url = entry.get("resource") or {}, entry.get("fullUrl") or ""
        if url.startswith("urn:") and "id" in resource:
            links[url] = f"{resource['resourceType']}/{resource['id']}"
    return links


def _param(param: str, code: str) -> str:
    return f"Bundle.{code}{param.removeprefix(FIRST[code].type)}"


def asked(test: Test, code: str, name: str) -> Test:
    """A test of the first resource as a test of the Bundle. Raises NotSupported for what it has no entries for."""
    match test:
        case All(tests):
            return All(tuple(asked(one, code, name) for one in tests))
        case AnyOf(tests):
            return AnyOf(tuple(asked(one, code, name) for one in tests))
        case Together(tests):
            return Together(tuple(asked(one, code, name) for one in tests))
        case Not(one):
            return Not(asked(one, code, name))
        case Ids(ids):
            return AnyOf(tuple(Term(f"Bundle.{code}._id", id) for id in ids))
        case Stamped():
            raise NotSupported("a resource within a Bundle has no _lastUpdated of its own", name)
        case Backlinked():
            raise NotSupported("nothing refers to a resource within a Bundle", name)
        case Linked():
            return replace(test, param=_param(test.param, code))  # what is beyond is no part of the Bundle
        case _:
            return replace(test, param=_param(test.param, code))
