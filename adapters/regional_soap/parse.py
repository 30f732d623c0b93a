"""Bytes -> a record: which service, its cells by path, what each path means (its longest suffix in a table)."""

from dataclasses import replace
from functools import cache

from adapters.contract import Parsed, Problem
from adapters.kit import codes
from adapters.regional_soap.envelope import Envelope, NotRead, line_of, local, read
from adapters.regional_soap.flatten import Flat, flatten
from adapters.roles.record import Column, Record, columns_of

PACKAGE = "adapters.regional_soap"
_XML = "text/xml"
_FIRST = ("Envelope", "ReferralRequest", "ProvideAndRegisterDocumentSetRequest", "RetrieveDocumentSetRequest")


def recognises(content: bytes, name: str) -> bool:
    """XML whose root is a SOAP envelope or a service of services.csv; a CDA document is not."""
    head = content[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(b"<") or b"ClinicalDocument" in head[:2048].split(b"Envelope", 1)[0]:
        return False
    text = head.decode("latin-1")
    return any(f"{mark}{name}" in text for name in (*codes.table(PACKAGE, "services"), *_FIRST) for mark in ("<", ":"))


def parse(content: bytes, name: str) -> list[Parsed]:
    """One Parsed. Not well-formed or of no known service: record None, a fatal problem."""
    try:
        envelope = read(content)
    except NotRead as error:
        problem = Problem("fatal", "structure", str(error), "", error.line, error.column)
        return [Parsed(content, _XML, None, [problem])]
    service = local(envelope.root)
    if service not in codes.table(PACKAGE, "services"):
        known = ", ".join(codes.table(PACKAGE, "services"))
        text = f"there is no service {service}; there are {known}"
        return [Parsed(content, _XML, None, [Problem("fatal", "not-supported", text, service, line_of(envelope.root))])]
    problems = []
    if envelope.action and envelope.action != service and envelope.action in codes.table(PACKAGE, "services"):
        text = f"the action names {envelope.action}, the message is {service}"
        problems.append(Problem("warning", "conflict", text, "action"))
    return [Parsed(content, _XML, _record(envelope, service), problems)]


def _record(envelope: Envelope, service: str) -> Record:
    table, groups = codes.table(PACKAGE, "services")[service][2], _groups(service)
    flat = flatten(envelope.root, lambda path: path in groups)
    record = _filled(flat, service, table)
    for path, found in flat.groups.items():
        kind = groups[path]
        record.groups.setdefault(kind, []).extend(_filled(one, f"{service}.{kind}", kind) for one in found)
    return record


def _groups(service: str) -> dict[str, str]:
    """path -> table of the group, from the fifth column: `path=table path=table`."""
    return dict(part.split("=") for part in codes.table(PACKAGE, "services")[service][4].split())


def _filled(flat: Flat, layout: str, table: str) -> Record:
    columns: dict[str, Column] = {}
    for path in flat.cells:
        column = meaning(table, path.partition("#")[0])
        if column is not None:
            columns[path] = replace(column, code=flat.systems[path]) if flat.systems.get(path) else column
    return Record(layout, dict(flat.cells), flat.line, PACKAGE, columns)


def meaning(table: str, path: str) -> Column | None:
    """The longest suffix of the path that the table, or what all messages share, knows; with its root, then without."""
    known = _known(table)
    for said in (path, path.partition("[")[0]) if "[" in path else (path,):
        steps = said.split("/")
        for start in range(len(steps)):
            column = known.get("/".join(steps[start:]))
            if column is not None:
                return column
    return None


@cache
def _known(table: str) -> dict[str, Column]:
    return {**columns_of(PACKAGE, "header_and_patient"), **columns_of(PACKAGE, table)}
