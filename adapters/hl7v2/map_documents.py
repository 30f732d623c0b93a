"""MDM: TXA and the OBX behind it -> DocumentReference with its text and attachments."""

import base64

from adapters.contract import Resource
from adapters.hl7v2.map_attachments import attachment_of
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.map_datatypes import coded, concept_of, entity, instant
from adapters.hl7v2.map_orders import service_request
from adapters.hl7v2.map_people import practitioner
from adapters.hl7v2.map_results import observations
from adapters.hl7v2.message import Segment, Value, said
from adapters.hl7v2.structure import Group
from adapters.kit.resource import Made

TEXTS = ("TX", "FT", "ST", "")
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
CONTENT_TYPES = {"TEXT": "text/plain", "TX": "text/plain", "AP": "application/octet-stream"}


def document(context: Context, root: Group) -> None:
    """The document of the message: status by the event and TXA-17/19, one content a text or attachment."""
    requests = [service_request(context, group, group.first("ORC"), group.first("OBR")) for group in root.sub("ORDER")]
    segment = root.first("TXA")
    if segment is None:
        context.problem("error", "required", "a document message without a TXA segment", "TXA", 1)
        return
    if context.patient is None:
        return
    value = segment.value(12)
    own = entity(context, value, "document")
    described = "|".join((context.scope(), segment.value(2).component(1), segment.value(4).component(1)))
    identity = own["value"] if own else described
    if own is None:
        text = "the document has no number (TXA-12): a later message about it cannot find it"
        context.problem("warning", "incomplete", text, segment.place(12), segment.line)
    made = context.make("DocumentReference", context.own_key("document", identity), "owned")
    made.put("masterIdentifier", own, value.place, value.line)
    context.fill(made, segment, ((16, "identifier[]", _file),))
    _status(context, made, segment)
    kind = segment.value(2)
    made.put("type", coded(context, kind), kind.place, kind.line)
    made.put("subject", context.subject(), "PID-3")
    _dated(context, made, segment)
    _people(context, made, segment)
    _relates(context, made, segment)
    _secret(context, made, segment)
    _contents(context, made, segment, root)
    _context(context, made, segment, [request for request in requests if request is not None])


def _file(context: Context, value: Value) -> Resource | None:
    name = said(value.whole)
    return {"system": context.local("document-file"), "value": name} if name else None


def _status(context: Context, made: Made, segment: Segment) -> None:
    done, available = segment.value(17), segment.value(19)
    row = context.row("document_status", done.taken().said(1))
    if row is None and done.said(1):
        context.unknown(done, done.said(1), "document completion status")
    state = context.row("document_availability", available.taken().said(1))
    if state is None and available.said(1):
        context.unknown(available, available.said(1), "document availability status")
    cancelled = context.event.state == "entered-in-error"
    status = "entered-in-error" if cancelled else state[0] if state else "current"
    made.put("status", status, segment.place(19) if state else "MSH-9", segment.line if state else 1)
    made.put("docStatus", row[0] if row else None, done.place, done.line)


def _dated(context: Context, made: Made, segment: Segment) -> None:
    """DocumentReference.date: when it was written (TXA-6), else transcribed (7), edited (8)."""
    for field in (6, 7, 8):
        value = segment.value(field)
        at = instant(context, value)
        if at:
            made.put("date", at, value.place, value.line)
            return


def _people(context: Context, made: Made, segment: Segment) -> None:
    for field in (9, 5, 11):
        for value in segment.values(field):
            made.add("author", practitioner(context, value), value.place, value.line)
    for value in (segment.value(10), segment.value(22)):
        if "authenticator" not in made.resource:
            made.put("authenticator", practitioner(context, value), value.place, value.line)
    made.put("custodian", context.organization, "MSH-4", 1)


def _relates(context: Context, made: Made, segment: Segment) -> None:
    """TXA-13, the document before this one: replaced, or added to (T05, T06)."""
    value = segment.value(13)
    parent = entity(context, value, "document")
    if parent is not None:
        code = context.event.state if context.event.state in ("replaces", "appends") else "appends"
        made.add("relatesTo", {"code": code, "target": {"identifier": parent}}, value.place, value.line)


def _secret(context: Context, made: Made, segment: Segment) -> None:
    value = segment.value(18)
    row = context.row("confidentiality", value.taken().said(1))
    if row is not None:
        label = concept_of(CONFIDENTIALITY, row[0], row[1])
        made.add("securityLabel", label, value.place, value.line)
    elif value.said(1):
        made.add("securityLabel", coded(context, value), value.place, value.line)


def _contents(context: Context, made: Made, segment: Segment, root: Group) -> None:
    """The lines of text as one attachment, every ED or RP as one of its own; measured values are Observations."""
    title = segment.value(25)
    name = said(title.whole)
    lines: list[tuple[str, Value]] = []
    rest: list[Group] = []
    for group in root.sub("OBSERVATION"):
        found = group.first("OBX")
        if found is None:
            continue
        kind = found.value(2).component(1).upper()
        if kind in ("ED", "RP"):
            if not _attached(context, made, found, kind, name):
                rest.append(group)
        elif kind in TEXTS:
            lines += [(text, value) for value in found.values(5) if (text := said(value.whole))]
            _used(found)
            lines += [(text, note) for nte in group.all("NTE") for note in nte.values(3) if (text := said(note.whole))]
        else:
            rest.append(group)
    if lines:
        packed = base64.b64encode("\n".join(text for text, _ in lines).encode()).decode()
        content = filled({"contentType": "text/plain; charset=utf-8", "data": packed, "title": name})
        made.add("content", {"attachment": content})
        presented = segment.value(3).taken()
        context.traced(made, "content.attachment", *(value for _, value in lines), title, presented)
    if "content" not in made.resource:  # a notification without the document itself
        given = segment.value(3)
        kind = given.said(1)
        type = CONTENT_TYPES.get(kind.upper(), "")
        content = filled({"contentType": type, "title": name or kind or "not in the message"})
        made.add("content", {"attachment": content}, given.place, given.line)
        context.traced(made, "content.attachment", title)
    related = observations(context, rest)
    if related:
        made.resource.setdefault("context", {})["related"] = [one.reference() for one in related]


def _attached(context: Context, made: Made, segment: Segment, kind: str, name: str) -> bool:
    found = False
    concept = coded(context, segment.value(3)) or {}
    for value in segment.values(5):
        attachment = attachment_of(context, value, kind, name or concept.get("text", ""))
        if attachment is not None:
            made.add("content", {"attachment": attachment}, value.place, value.line)
            context.traced(made, "content.attachment.title", segment.value(3))
            _used(segment)
            found = True
    return found


def _used(segment: Segment) -> None:
    for number in (1, 2, 3, 4, 11, 14):
        for value in segment.values(number):
            value.taken()


def _context(context: Context, made: Made, segment: Segment, requests: list[Made]) -> None:
    inner = made.resource.setdefault("context", {})
    if context.encounter:
        inner["encounter"] = [context.encounter.reference()]
    at = segment.value(4)
    start = context.when(at)
    if start:
        inner["period"] = {"start": start}
        context.traced(made, "context.period.start", at)
    for request in requests:
        inner.setdefault("related", []).append(request.reference())
    for field in (14, 15):
        for value in segment.values(field):
            number = entity(context, value, "order", "PLAC" if field == 14 else "FILL")
            if number is not None and not requests:
                inner.setdefault("related", []).append({"identifier": number})
                context.traced(made, "context.related", value)
    if not inner:
        del made.resource["context"]
