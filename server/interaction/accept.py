"""A body that came in -> a resource the server accepts: JSON, type, structure; ready to be drafted and indexed."""

from dataclasses import dataclass
from typing import Any

import orjson

from server.errors import Invalid, Issue
from server.keys import Draft, Entry
from server.model.doubled import check_unique
from server.model.raw import Body, members, same_content, same_values
from server.search.index import index
from server.search.kinds.kind import Setting
from server.validation.structure import check


@dataclass(frozen=True, slots=True)
class Accepted:
    """A valid resource: what it says, and its bytes."""

    resource: dict[str, Any]
    body: Body

    def draft(self, id: str) -> Draft:
        return self.body.draft(id)

    def entries(self, setting: Setting) -> tuple[Entry, ...]:
        return index(self.resource, setting)


def accept(raw: bytes, type: str, *, at: str = "") -> Accepted:
    """Raises Invalid with every issue found; expressions begin with `at` (`Bundle.entry[2].resource`) if given."""
    try:
        resource = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"the body is not JSON: {error}", at or type, code="structure") from error
    if not isinstance(resource, dict):
        raise Invalid("the body is not a JSON object", at or type, code="structure")
    named = resource.get("resourceType")
    if named != type:
        raise Invalid(
            f"the resource is a {named!r}, but the address is for {type}", f"{at or type}.resourceType", code="invalid"
        )
    issues = [issue for issue in check(resource) if issue.severity in ("fatal", "error")]
    if issues:
        raise Invalid([_placed(issue, type, at) for issue in issues])
    check_unique(raw, resource, at or type)
    return Accepted(resource, Body(members(raw)))


def fault(raw: bytes) -> str:
    """Why bytes are not JSON, with line and column; '' when they are."""
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return str(error)
    return ""


def _placed(issue: Issue, type: str, at: str) -> Issue:
    if not at:
        return issue
    return Issue(issue.code, issue.diagnostics, at + issue.expression.removeprefix(type), issue.severity)


class Stored:
    """A stored body, parsed once: what the next version is compared with."""

    __slots__ = ("_body", "_resource")

    def __init__(self, body: bytes) -> None:
        self._body, self._resource = body, orjson.loads(body)

    def entries(self, setting: Setting) -> tuple[Entry, ...]:
        """The index entries as they were written with it."""
        return index(self._resource, setting)

    def says(self, accepted: Accepted, draft: Draft, id: str) -> bool:
        """Whether a draft of the accepted body would change nothing. Most do, and values show that at once; equal
        values may still be other bytes (1.0 and 1.00), which is a change."""
        return same_values(accepted.resource, self._resource) and same_content(
            draft, Body(members(self._body)).draft(id)
        )
