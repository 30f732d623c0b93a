"""Errors as FHIR says them: HTTP status and OperationOutcome
(https://hl7.org/fhir/R4/http.html#summary, https://hl7.org/fhir/R4/operationoutcome.html)."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson

from server import errors
from server.errors import Issue, TiercareError

STATUS: dict[type[TiercareError], int] = {
    errors.Invalid: 400,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.NotAllowed: 405,
    errors.NotAcceptable: 406,
    errors.Late: 408,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.Stale: 412,
    errors.TooLarge: 413,
    errors.MediaType: 415,
    errors.Unprocessable: 422,
    errors.TooCostly: 422,
    errors.NotSupported: 501,
    errors.Unavailable: 503,
}


def status_of(error: TiercareError) -> int:
    return STATUS[type(error)]


def status_line(error: TiercareError) -> str:
    """`404 Not Found`, as Bundle.entry.response.status wants it."""
    status = HTTPStatus(status_of(error))
    return f"{status.value} {status.phrase}"


def operation_outcome(issues: Sequence[Issue]) -> bytes:
    return orjson.dumps({"resourceType": "OperationOutcome", "issue": [_issue(issue) for issue in issues]})


def _issue(issue: Issue) -> dict[str, Any]:
    found: dict[str, Any] = {"severity": issue.severity, "code": issue.code, "diagnostics": _text(issue.diagnostics)}
    if issue.expression:
        found["expression"] = [_text(issue.expression)]
    return found


# What a FHIR string, or XML, cannot hold: an outcome that quotes a bad request still has to be one.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
LONGEST = 10_000  # characters of a text: what it quotes may be as long as a body


def _text(text: str) -> str:
    if len(text) > LONGEST:
        text = text[:LONGEST] + "…"
    return _NO_TEXT.sub("\ufffd", text)
