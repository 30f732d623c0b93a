"""ED and RP values of OBX-5: bytes in the message and pointers -> attachments of a report or documents of their own."""

import base64
import binascii
import re

from adapters.contract import Resource
from adapters.hl7v2.map_context import Context, filled
from adapters.hl7v2.message import Segment, Value
from adapters.kit.resource import Made

_CONTENT = {"PDF": "application/pdf", "JPEG": "image/jpeg", "PNG": "image/png", "HTML": "text/html", "XML": "text/xml"}


def attached(context: Context, segment: Segment, report: Made | None, concept: Resource, kind: str) -> bool:
    """ED (bytes in the message) and RP (a pointer): part of the report, or a document of its own. False when OBX-5
    holds neither."""
    found = False
    for value in segment.values(5):
        attachment = attachment_of(context, value, kind, concept["text"])
        if attachment is None:
            continue
        found = True
        if report is not None:
            report.add("presentedForm", attachment, value.place, value.line)
            context.traced(report, "presentedForm", segment.value(3))
            continue
        made = context.make("DocumentReference", context.own_key(context.scope(), "document", concept["text"]), "owned")
        made.put("status", "current")
        made.put("type", concept, segment.place(3), segment.line)
        made.put("subject", context.subject(), "PID-3")
        made.add("content", {"attachment": attachment}, value.place, value.line)
    return found


def attachment_of(context: Context, value: Value, kind: str, title: str) -> Resource | None:
    """Attachment of an ED or RP value; None, with a warning, when its bytes or pointer cannot be read."""
    if kind == "RP":
        pointer = value.component(1)
        if re.match(r"(https?|ftp|file)://\S+$", pointer):
            return {"url": pointer, "title": title}
        text = "the pointer is no URL; kept as text"
        context.problem("warning", "value", text, value.place, value.line)
        return None
    type, subtype, encoding, data = (value.component(n) for n in range(2, 6))
    value.component(1)
    packed = re.sub(r"\s", "", data)
    if encoding.lower() == "a" and data:
        packed = base64.b64encode(data.encode()).decode()
    elif encoding.lower() != "base64" or not packed or not _is_base64(packed):
        context.problem("warning", "value", "the data are not base64; kept as text", value.place, value.line)
        return None
    known = _CONTENT.get(subtype.upper())
    content_type = known or (f"{type}/{subtype}".lower() if "/" not in subtype and type and subtype else subtype)
    return filled({"contentType": content_type, "data": packed, "title": title})


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
