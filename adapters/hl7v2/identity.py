"""What tells one HL7 v2 message from another: MSH-3, MSH-4 and MSH-10, and its bytes without the time of sending."""

from adapters.contract import Identity, Parsed
from adapters.hl7v2.message import Message
from adapters.kit import dates


def identify(parsed: Parsed) -> Identity:
    """A message without a number (MSH-10) has no name: only the same bytes are the same message."""
    message = parsed.record
    if not isinstance(message, Message):
        return Identity("", parsed.raw)
    raw = message.header.raw
    number, sent = raw(10).strip(), raw(7)
    try:
        when = dates.date_time(sent.split(message.delimiters.component or "^")[0])
    except ValueError:
        when = ""
    # A sender that tries again may stamp the message anew.
    content = parsed.raw.replace(sent.encode(message.charset, "replace"), b"", 1) if sent else parsed.raw
    return Identity("|".join((raw(3), raw(4), number)) if number else "", content, when)
