"""Bytes -> record: charset, XML with every outside reference off, and an exact place for everything that is wrong."""

import codecs
import hashlib
import re

from lxml import etree

from adapters.cda.record import TYPE, Document, Node
from adapters.contract import Parsed, Problem
from adapters.kit import charset

CONTENT_TYPE = "application/xml"
_NAMES_MAX = 4096
HEAD = 8192  # bytes in which a document has to name its root element
_XSI = "http://www.w3.org/2001/XMLSchema-instance"

_DECLARATION = re.compile(r"<\?\s?xml[^>]*?\bencoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]*)[\"']")
_PROLOG = re.compile(r"\s*(?:<!--.*?-->\s*|<\?.*?\?>\s*)*", re.DOTALL)
_ROOT = re.compile(r"<(?:[\w.-]+:)?ClinicalDocument[\s/>]")
_DOCTYPE = re.compile(r"<!DOCTYPE", re.IGNORECASE)


def recognises(content: bytes, name: str) -> bool:
    """Whether the first element is ClinicalDocument, also behind a prolog that is itself broken (`<? xml`)."""
    head = _decoded_head(content)
    start = _PROLOG.match(head)
    rest = head[start.end() if start else 0 :]
    if _DOCTYPE.match(rest):
        return bool(_ROOT.search(rest))
    return bool(_ROOT.match(rest))


def parse(content: bytes, name: str) -> list[Parsed]:
    """One Parsed, always: CDA has one document a file. `record` is None when the XML cannot be read.

    Not well-formed: a fatal problem with line and column of the XML error; nothing is guessed. A DOCTYPE, and with it
    every entity, is refused: a clinical document has none (CDA R2, section 3.2), and it is how files are stolen.
    """
    parsed = Parsed(raw=content, content_type=CONTENT_TYPE, record=None)
    text, problem = _text(content)
    if problem is not None:
        parsed.problems.append(problem)
        if problem.severity != "warning":
            return [parsed]
    refused = _doctype(text)
    if refused is not None:
        parsed.problems.append(refused)
        return [parsed]
    root = _tree(text, parsed)
    if root is not None:
        parsed.record = Document(root, hashlib.sha256(content).hexdigest())
    return [parsed]


def _decoded_head(content: bytes) -> str:
    head = content[:HEAD]
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head.decode("utf-16", "ignore")
    return head.removeprefix(codecs.BOM_UTF8).decode("latin-1")


def _text(content: bytes) -> tuple[str, Problem | None]:
    """The characters by BOM and XML declaration; the bytes win over a declaration that they contradict."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return content.decode("utf-16"), None
        except UnicodeDecodeError as error:
            return "", Problem("fatal", "structure", f"not UTF-16 as its byte order mark says: {error.reason}", line=1)
    declared = _DECLARATION.search(_decoded_head(content))
    encoding = declared.group(1) if declared else ""
    decoded = charset.decode(content, encoding)
    if decoded.charset == "iso-8859-1" and decoded.warning:
        # Reading on would put mojibake into a patient's record.
        return "", Problem("fatal", "structure", decoded.warning, field="encoding", line=1)
    warning = Problem("warning", "value", decoded.warning, field="encoding", line=1) if decoded.warning else None
    return decoded.text, warning


def _doctype(text: str) -> Problem | None:
    start = _PROLOG.match(text)
    offset = start.end() if start else 0
    if not _DOCTYPE.match(text, offset):
        return None
    line, column = _place(text, offset)
    why = "a DOCTYPE (and any entity it declares) is not accepted in a clinical document; nothing of it was read"
    return Problem("error", "security", why, field="DOCTYPE", line=line, column=column)


def _place(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def _tree(text: str, parsed: Parsed) -> Node | None:
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        # surrogatepass: a lone surrogate is the XML parser's error to report, not a crash here.
        element = etree.fromstring(text.encode("utf-8", "surrogatepass"), parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        why = re.sub(r", line \d+, column \d+$", "", error.msg or "not well-formed XML")
        parsed.problems.append(Problem("fatal", "structure", f"not well-formed XML: {why}", line=line, column=column))
        return None
    if _local(element) != "ClinicalDocument":
        why = f"the root element is {_local(element)}, not ClinicalDocument"
        parsed.problems.append(Problem("fatal", "structure", why, line=_line(element)))
        return None
    return _node(element, "ClinicalDocument", "ClinicalDocument")


def _node(element: etree._Element, path: str, name: str) -> Node:
    """The plain tree of an element: comments and instructions are gone already, so every child is an element. The
    depth is bounded by libxml2 (256 without huge_tree)."""
    attributes: dict[str, str] = dict(element.attrib)  # type: ignore[arg-type]  # bytes only in the stubs
    for key in attributes:
        if key[0] == "{":
            attributes = {_attribute(name): value for name, value in attributes.items()}
            break
    node = Node(name, attributes, element.text or "", element.tail or "", _line(element), path)
    names = [_NAMES.get(child.tag) or _local(child) for child in element]
    if not names:
        return node
    base = "" if path == "ClinicalDocument" else f"{path}/"
    append = node.children.append
    if len(set(names)) == len(names):
        for child, own in zip(element, names, strict=True):
            append(_node(child, base + own, own))
        return node
    seen: dict[str, int] = {}
    for child, own in zip(element, names, strict=True):
        if names.count(own) == 1:
            append(_node(child, base + own, own))
        else:
            number = seen[own] = seen.get(own, 0) + 1
            append(_node(child, f"{base}{own}[{number}]", own))
    return node


_NAMES: dict[str, str] = {}
"""Local names of the tags seen so far: one string for all of them. Bounded: a hostile file could have many."""


def _local(element: etree._Element) -> str:
    tag = str(element.tag)
    name = _NAMES.get(tag)
    if name is None:
        name = tag.rpartition("}")[2]
        if len(_NAMES) < _NAMES_MAX:
            _NAMES[tag] = name
    return name


def _line(element: etree._Element) -> int:
    line = element.sourceline
    return line if isinstance(line, int) else 1


def _attribute(name: str) -> str:
    local = name.rpartition("}")[2]
    return TYPE if name == f"{{{_XSI}}}type" else local
