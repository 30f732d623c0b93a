"""Sending a transaction to a FHIR server and reading what became of each entry. The only file that knows HTTP here.

How created, updated and unchanged are told apart (https://hl7.org/fhir/R4/http.html#transaction-response):
    201                                            created
    200 and an outcome with an `informational` issue   unchanged, the server says so
    200 for a POST with ifNoneExist                unchanged: a resource matched, nothing was written
    200 with ETag W/"1"                            unchanged: an update would have made version 2
    200 with a lastModified before the request     unchanged; both times by the server's clock (its Date header)
    else                                           updated

A message that the server refuses (400, 409, 412, 413, 422) is sent again as raw message only, with the server's
reasons as problems. Anything that is not the message's fault (no connection, 401, 403, 404, 5xx) leaves it undone:
`again`.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import httpx

from adapters.contract import Problem, Resource, Severity
from adapters.runner import Conversion
from adapters.wire import to_json

Change = Literal["created", "updated", "unchanged"]
TIMEOUT_SECONDS = 60.0
_MESSAGE_AT_FAULT = frozenset({400, 409, 412, 413, 422})
_TAKES_NOTHING = frozenset({401, 403, 404, 405, 408, 429, 502, 503, 504})
_CLOCK_SLACK = timedelta(seconds=2)  # the Date header counts whole seconds


@dataclass(frozen=True, slots=True)
class Written:
    """One entry of the transaction: its resource type, where it stands on the server, what happened to it."""

    type: str
    url: str
    change: Change


@dataclass(slots=True)
class Delivery:
    """status stored: the server has it. refused: the raw message only, `problems` say why. again: nothing is done.

    `reached` False: the server takes nothing from us at present, whatever the message is.
    """

    status: Literal["stored", "refused", "again"]
    written: list[Written] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    reached: bool = True

    def counts(self) -> Counter[str]:
        return Counter(entry.change for entry in self.written)


class Target:
    """A FHIR server. `client` may bring its own transport (tests, one process), TLS settings or headers."""

    def __init__(self, base: str, client: httpx.Client | None = None, timeout: float = TIMEOUT_SECONDS) -> None:
        self.base = base.rstrip("/")
        self._client = client or httpx.Client(timeout=timeout)

    def close(self) -> None:
        self._client.close()

    def deliver(self, conversion: Conversion) -> Delivery:
        """Sends the conversion's transaction; once more as raw message only if the server refuses its content."""
        answer = self._post(conversion.transaction)
        if isinstance(answer, Delivery):
            return answer
        if answer.status_code == 409:  # two writers met: the second attempt sees what the first one left
            answer = self._post(conversion.transaction)
            if isinstance(answer, Delivery):
                return answer
        if answer.is_success:
            return self._read(conversion.transaction, answer)
        reasons = _reasons(answer)
        if answer.status_code not in _MESSAGE_AT_FAULT:
            return Delivery("again", problems=reasons, reached=answer.status_code not in _TAKES_NOTHING)
        if conversion.failed:  # it was the raw message only already
            return Delivery("refused", problems=reasons)
        raw = self._post(conversion.refused(reasons).transaction)
        if isinstance(raw, Delivery):
            return raw
        if not raw.is_success:
            return Delivery("refused" if raw.status_code in _MESSAGE_AT_FAULT else "again", problems=_reasons(raw))
        kept = self._read(conversion.refused(reasons).transaction, raw)
        return Delivery("refused" if kept.status == "stored" else "again", kept.written, [*reasons, *kept.problems])

    def count(self, type: str) -> int:
        """How many resources of a type the server has (`_summary=count`). Raises ValueError when it does not tell."""
        try:
            answer = self._client.get(f"{self.base}/{type}", params={"_summary": "count"}, headers=_ACCEPT)
        except httpx.HTTPError as error:
            raise ValueError(f"{self.base}/{type} cannot be counted: {error}") from None
        body = _json(answer)
        total = body.get("total") if isinstance(body, dict) else None
        if not answer.is_success or not isinstance(total, int):
            raise ValueError(f"{self.base}/{type} cannot be counted: answer {answer.status_code} without a total")
        return total

    def ready(self) -> bool:
        """Whether `GET metadata` answers."""
        try:
            return self._client.get(f"{self.base}/metadata", headers=_ACCEPT).is_success
        except httpx.HTTPError:
            return False

    def _post(self, transaction: Resource) -> httpx.Response | Delivery:
        try:
            headers = {"Content-Type": "application/fhir+json; charset=utf-8", **_ACCEPT}
            return self._client.post(self.base, content=to_json(transaction), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = str(error) or type(error).__name__
            problem = Problem("error", "transient", f"{self.base} cannot be reached: {why}")
            return Delivery("again", problems=[problem], reached=False)

    def _read(self, transaction: Resource, answer: httpx.Response) -> Delivery:
        body = _json(answer)
        entries = body.get("entry") if isinstance(body, dict) else None
        if not isinstance(entries, list) or len(entries) != len(transaction["entry"]):
            text = f"{self.base} answers a transaction with something else than its entries: is it a FHIR server?"
            return Delivery("again", problems=[Problem("error", "exception", text)])
        asked = _asked(answer)
        written = [
            Written(sent["resource"]["resourceType"], self._url(sent, got), _change(sent, got, asked))
            for sent, got in zip(transaction["entry"], (entry.get("response", {}) for entry in entries), strict=True)
        ]
        return Delivery("stored", written)

    def _url(self, sent: Resource, response: Resource) -> str:
        location = str(response.get("location") or sent["request"]["url"]).split("/_history/")[0]
        return location if location.startswith(("http://", "https://")) else f"{self.base}/{location.lstrip('/')}"


_ACCEPT = {"Accept": "application/fhir+json"}


def _change(sent: Resource, response: Resource, asked: datetime | None) -> Change:
    """See the table at the top of this file."""
    if str(response.get("status", "")).startswith("201"):
        return "created"
    outcome = response.get("outcome") or {}
    said = any(issue.get("code") == "informational" for issue in outcome.get("issue", []))
    matched = sent["request"]["method"] == "POST" and "ifNoneExist" in sent["request"]
    if said or matched or response.get("etag") == 'W/"1"':
        return "unchanged"
    modified = _instant(response.get("lastModified"))
    return "unchanged" if asked and modified and modified < asked - _CLOCK_SLACK else "updated"


def _asked(answer: httpx.Response) -> datetime | None:
    """When the request reached the server, by the server's clock; None if it does not tell the time."""
    try:
        return parsedate_to_datetime(answer.headers["date"]) - answer.elapsed
    except (KeyError, ValueError):
        return None


def _instant(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


_SEVERITIES: dict[str, Severity] = {"fatal": "fatal", "error": "error", "warning": "warning"}


def _reasons(answer: httpx.Response) -> list[Problem]:
    """The issues of the server's OperationOutcome as problems; at least one of them is an error."""
    body = _json(answer)
    issues = body.get("issue", []) if isinstance(body, dict) else []
    found = [
        Problem(
            _SEVERITIES.get(issue.get("severity", ""), "information"),
            issue.get("code", "processing"),
            f"the server refuses it: {issue.get('diagnostics') or issue.get('details', {}).get('text') or 'no reason'}",
            ", ".join(issue.get("expression", [])),
        )
        for issue in issues
        if isinstance(issue, dict)
    ]
    if any(problem.severity in ("fatal", "error") for problem in found):
        return found
    text = f"the server answers {answer.status_code} {answer.reason_phrase}".rstrip()
    return [Problem("error", "processing", text), *found]
