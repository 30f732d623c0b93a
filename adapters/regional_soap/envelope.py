"""XML in and out of SOAP: the message inside an envelope, hardened parsing, the message's own header."""

from dataclasses import dataclass
from typing import cast

from lxml import etree

BYTES = 32 * 1024 * 1024
SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
OPERATION = "HIPMessageServer"
_MESSAGES = ("message", "payload", "arg1", "xml", "content")  # what vendors call the operation's XML string


class NotRead(Exception):
    """A content that is no message: why, and line and column when the parser knows them."""

    def __init__(self, text: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(text)
        self.line, self.column = line, column


@dataclass(frozen=True, slots=True)
class Envelope:
    """`root` is the message; `soap` the envelope's namespace, '' for a bare message; `action` the operation's first
    argument; `embedded` whether the message was text inside the envelope (its lines count from its own start)."""

    root: etree._Element
    soap: str = ""
    action: str = ""
    embedded: bool = False


def read(content: bytes) -> Envelope:
    """The message of a SOAP 1.1 or 1.2 envelope (as text, CDATA or elements), or of a bare document. Raises NotRead."""
    root = parsed(content)
    if local(root) != "Envelope":
        return Envelope(root)
    soap = etree.QName(root).namespace or ""
    if soap not in (SOAP_11, SOAP_12):
        raise NotRead(f"the envelope is not SOAP 1.1 or 1.2: {soap or 'no namespace'}", line_of(root))
    body = next((child for child in elements(root) if local(child) == "Body"), None)
    operation = next(iter(elements(body)), None) if body is not None else None
    if operation is None:
        raise NotRead("the envelope has no operation in its body", line_of(root))
    parts = elements(operation)
    action = next((text_of(part) for part in parts if local(part) == "action"), "")
    for part in parts:
        if local(part) in _MESSAGES:
            inner = elements(part)
            if inner:
                return Envelope(inner[0], soap, action)
            if (part.text or "").strip():
                return Envelope(parsed((part.text or "").strip().encode()), soap, action, embedded=True)
    if local(operation) == OPERATION:
        raise NotRead(f"{OPERATION} carries no message", line_of(operation))
    return Envelope(operation, soap, action)


def parsed(content: bytes) -> etree._Element:
    """The root of a document, without entities, document types or network. Raises NotRead."""
    if len(content) > BYTES:
        raise NotRead(f"the message is longer than {BYTES} bytes")
    body = content.removeprefix(b"\xef\xbb\xbf").strip()
    if body.startswith(b"<?xml") and b"?>" in body[:200]:
        _, _, rest = body.partition(b"?>")
        try:
            rest.decode("utf-8")
            body = rest  # the bytes are UTF-8, whatever is declared
        except UnicodeDecodeError:
            body = b'<?xml version="1.0" encoding="gb18030"?>' + rest
    else:
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            body = b'<?xml version="1.0" encoding="gb18030"?>' + body
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise NotRead(f"not well-formed: {error.msg}", line, column) from None
    except (ValueError, LookupError) as error:
        raise NotRead(f"not XML: {error}") from None
    if getattr(root.getroottree().docinfo, "doctype", ""):
        raise NotRead("the document declares a document type, which is not read", 1)
    return root


def elements(node: etree._Element) -> list[etree._Element]:
    return [child for child in node if isinstance(child.tag, str)]


def local(node: etree._Element) -> str:
    return etree.QName(node).localname


def line_of(node: etree._Element) -> int:
    """The line of the element's start tag, from 1."""
    return cast(int, node.sourceline or 1)


def text_of(node: etree._Element) -> str:
    return (node.text or "").strip()
