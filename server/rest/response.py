"""Answers: status, headers and body of each kind of result (https://hl7.org/fhir/R4/http.html#return)."""

import functools
from collections.abc import Sequence
from email.utils import formatdate
from typing import NamedTuple

from server.errors import Issue
from server.interaction.outcome import Written
from server.keys import Version, milliseconds_of
from server.model.outcome import operation_outcome

Headers = list[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """`body` is JSON; the app writes it in the format that the client accepts. None: no body at all."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes | None


def version_headers(version: Version) -> Headers:
    return [
        (b"etag", b'W/"%d"' % version.version),
        (b"last-modified", _http_date(milliseconds_of(version.stamp) // 1000)),
    ]


@functools.lru_cache(1024)
def _http_date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()


def resource(version: Version) -> Answer:
    return Answer(200, version_headers(version), version.body)


def written(result: Written, prefer: str, base: str) -> Answer:
    """Of create and update: 201 with Location when it is new, else 200; the body as `Prefer: return` says."""
    version = result.version
    headers = version_headers(version)
    if result.created:
        headers.append((b"location", f"{base}/{version.type}/{version.id}/_history/{version.version}".encode()))
    body: bytes | None = version.body
    if "return=minimal" in prefer:
        body = None
    elif "return=OperationOutcome" in prefer:
        what = "created" if result.created else "updated" if result.changed else "unchanged"
        note = f"{version.type}/{version.id} {what}: it is at version {version.version}"
        body = operation_outcome([Issue("informational", note, "", "information")])
    return Answer(201 if result.created else 200, headers, body)


def deleted(result: Written | None) -> Answer:
    headers = version_headers(result.version)[:1] if result and result.changed else []
    return Answer(204, headers, None)
