"""What tells one CDA document from another: its set of versions, else its number (ClinicalDocument.setId, .id)."""

from adapters.cda.record import Document
from adapters.cda.tables import real
from adapters.contract import Identity, Parsed
from adapters.kit import dates


def identify(parsed: Parsed) -> Identity:
    """A document without a number is known by its bytes alone."""
    if not isinstance(parsed.record, Document):
        return Identity("", parsed.raw)
    root = parsed.record.root
    key = ""
    for name in ("id", "setId"):  # setId, where there is one, names all versions of the document
        node = root.child(name)
        if node is not None and real(node.get("extension"), "id"):
            key = f"{name}|{node.get('root')}|{node.get('extension')}"
    written = root.child("effectiveTime")
    try:
        sent = dates.date_time(written.get("value") or written.words()) if written is not None else ""
    except ValueError:
        sent = ""
    return Identity(key, parsed.raw, sent)
