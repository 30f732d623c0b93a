"""$convert-data: a legacy message -> the transaction that an adapter makes of it. Nothing is stored. The definition is
our own, after the operation of this name in Microsoft's FHIR server.

Adapters are found by the entry point `tiercare.adapters` and never imported; what is used of them stands in `Adapter`.
"""

import asyncio
import base64
import functools
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import entry_points
from typing import Any, NamedTuple, Protocol

import msgspec

from server.errors import Invalid, Issue, Unprocessable
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.operation import SYSTEM, Call, Operation, Parameter, Result
from server.model import tables
from server.model.outcome import operation_outcome

_GROUP = "tiercare.adapters"
_ERRORS = ("fatal", "error")
_ENCODER = msgspec.json.Encoder(decimal_format="number")  # decimals keep the digits they were written with


class Adapter(Protocol):
    """What $convert-data needs of an adapter; a message is what `parse` gives (raw, record, problems, line)."""

    name: str

    def recognises(self, content: bytes, name: str) -> bool: ...
    def parse(self, content: bytes, name: str) -> list[Any]: ...
    def map(self, record: Any) -> Any: ...
    def bundle(self, parsed: Any, mapped: Any, problems: Sequence[Any], recorded: str) -> dict[str, Any]: ...


class Converted(NamedTuple):
    """One message: its transaction (b'' when it could not be converted), and what is to be said about it."""

    transaction: bytes
    issues: list[Issue]


async def convert_data(api: Api, context: Context, call: Call) -> Result:
    """Raises Invalid for an unknown adapter, and Unprocessable when none reads the content, or no message of it could
    be converted. The work is done in a thread: an adapter computes and does not wait."""
    content, name = _content(call), call.text("fileName") or ""
    converted = await asyncio.to_thread(_convert, content, name, call.text("inputDataType") or "")
    issues = [issue for one in converted for issue in one.issues]
    bundles = [one.transaction for one in converted if one.transaction]
    if not bundles:
        raise Unprocessable(issues or [Issue("structure", "there is no message in the content", "inputData")])
    parts = [b'{"name":"return","resource":%b}' % bundle for bundle in bundles]
    if issues:
        parts.append(b'{"name":"outcome","resource":%b}' % operation_outcome(issues))
    return Result(b'{"resourceType":"Parameters","parameter":[%b]}' % b",".join(parts))


def _content(call: Call) -> bytes:
    text, encoded = call.text("inputData"), call.text("inputBytes")
    if (text is None) == (encoded is None):
        raise Invalid("the message is given as one of 'inputData' (text) and 'inputBytes' (base64)", "inputData")
    if text is not None:
        return text.encode()
    assert encoded is not None
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except ValueError as error:
        raise Invalid(f"'inputBytes' is not base64: {error}", "inputBytes") from error


@functools.cache
def _adapters() -> dict[str, Adapter]:
    return {point.name: point.load() for point in sorted(entry_points(group=_GROUP), key=lambda one: one.name)}


def _choose(content: bytes, file_name: str, wanted: str) -> Adapter:
    """The adapter called `wanted`, else the only one that recognises the content."""
    adapters = _adapters()
    names = ", ".join(adapters) or "none"
    if wanted:
        if wanted not in adapters:
            raise Invalid(f"there is no adapter '{wanted}' (there are {names})", "inputDataType", code="code-invalid")
        return adapters[wanted]
    fitting = [adapter for adapter in adapters.values() if adapter.recognises(content, file_name)]
    specific = [adapter for adapter in fitting if not getattr(adapter, "general", False)]
    fitting = specific or fitting  # an adapter that reads any table gives way to one that knows this table
    if not fitting:
        raise Unprocessable(f"no adapter recognises the content (there are {names})", "inputData")
    if len(fitting) > 1:
        several = ", ".join(adapter.name for adapter in fitting)
        raise Unprocessable(f"several adapters recognise the content ({several}): name one", "inputDataType")
    return fitting[0]


def _convert(content: bytes, file_name: str, wanted: str) -> list[Converted]:
    adapter = _choose(content, file_name, wanted)
    recorded = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    messages = adapter.parse(content, file_name)
    return [
        _one(adapter, parsed, recorded, f"message {number}, " if len(messages) > 1 else "")
        for number, parsed in enumerate(messages, 1)
    ]


def _one(adapter: Adapter, parsed: Any, recorded: str, where: str) -> Converted:
    """One message. A mistake in a mapping is said, and does not stop the other messages."""
    problems, mapped = list(parsed.problems), None
    issues = []
    if parsed.record is not None:
        try:
            mapped = adapter.map(parsed.record)
            problems += mapped.problems
        except Exception as error:
            text = f"{where}the mapping of {adapter.name} broke off: {type(error).__name__}: {error}"
            issues.append(Issue("exception", text, severity="fatal"))
    elif not any(problem.severity in _ERRORS for problem in problems):
        issues.append(Issue("structure", f"{where}line {parsed.line}: the message could not be read", severity="fatal"))
    issues += [_issue(problem, where) for problem in problems]
    if mapped is None or any(issue.severity in _ERRORS for issue in issues):
        return Converted(b"", issues)
    return Converted(_ENCODER.encode(adapter.bundle(parsed, mapped, problems, recorded)), issues)


def _issue(problem: Any, where: str) -> Issue:
    """A problem names its place in the message's own words: `message 2, line 3, PID-7: …`."""
    place = [
        f"line {problem.line}" if problem.line is not None else "",
        f"column {problem.column}" if problem.column is not None else "",
        problem.field,
    ]
    text = ", ".join(part for part in place if part)
    known = problem.code in tables.value_set("http://hl7.org/fhir/ValueSet/issue-type").codes
    code = problem.code if known else "informational" if problem.severity == "information" else "processing"
    return Issue(code, where + (f"{text}: {problem.text}" if text else problem.text), severity=problem.severity)


CONVERT_DATA = Operation(
    id="convert-data",
    code="convert-data",
    title="Convert a legacy message",
    description="Converts messages of a legacy format (HL7 v2, CDA, regional JSON and CSV: the adapters installed) "
    "into one transaction each, which can be sent to this or any FHIR server. Nothing is stored.",
    run=convert_data,
    levels=(SYSTEM,),
    parameters=(
        Parameter("inputData", "string", "the content as text; one of inputData and inputBytes is given"),
        Parameter("inputBytes", "base64Binary", "the content's bytes, when its charset is not UTF-8 or unknown"),
        Parameter("inputDataType", "code", "the adapter to use (hl7v2, cda, regional_json); else it is recognised"),
        Parameter("fileName", "string", "the name of the file the content is from: some formats are told by it"),
        Parameter(
            "return", "Bundle", "the transaction of each message that could be converted, in order", 1, "*", "out"
        ),
        Parameter("outcome", "OperationOutcome", "what was wrong, doubtful or left out", 0, "1", "out"),
    ),
)
