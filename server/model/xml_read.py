"""FHIR XML bytes -> JSON bytes (https://hl7.org/fhir/R4/xml.html), to be validated like any JSON that came in.

expat reads: no network, no DTD, no entities but XML's own five. What XML says and JSON cannot (unknown elements and
attributes, other namespaces, text, elements out of order) is refused here, with line and FHIRPath; everything else
is carried over as it is written, so that values are judged by the validator.
"""

import re
from typing import NoReturn
from xml.parsers import expat

import orjson

from server.errors import Invalid, Issue
from server.model import tables
from server.model.xml_div import Div, split
from server.model.xml_shape import FHIR, NUMBERS, XHTML, Slot, attributes, slots

DEEPEST = 500
"""Elements inside each other, narrative included."""

MOST_ISSUES = 200

_IGNORED = "http://www.w3.org/2001/XMLSchema-instance schemaLocation"  # says where a schema lies, nothing of the data
_is_number = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch


def read(body: bytes) -> bytes:
    """The JSON of a resource in XML. Raises Invalid: not well-formed (with line and column), or no XML of R4."""
    return _Reader(body.removeprefix(b"\xef\xbb\xbf")).read()


class _Frame:
    """An element that is open: what it has so far.

    node     whose elements may stand in it; '' if none.
    path     its FHIRPath.
    value    JSON text of the attribute `value` of a primitive.
    members  name -> one (JSON text, JSON text of `_name`) an element.
    """

    __slots__ = ("head", "members", "name", "node", "path", "primitive", "rank", "resource", "slot", "value")

    def __init__(self, name: str, node: str, path: str, slot: Slot | None) -> None:
        self.name, self.node, self.path, self.slot = name, node, path, slot
        self.head: list[bytes] = []
        self.members: dict[str, list[tuple[bytes | None, bytes | None]]] = {}
        self.value: bytes | None = None
        self.rank = -1
        self.primitive = slot is not None and slot.type in tables.primitives()
        self.resource = slot is not None and slot.type == "Resource"  # a wrapper around one

    def json(self) -> bytes | None:
        """The object; None if there is nothing in a primitive but its value."""
        parts = [*self.head]
        known = slots(self.node) if self.node else {}
        for name, items in self.members.items():
            many = known[name].many or len(items) > 1  # two of a single element: the validator says so
            for prefix, values in (("", [one for one, _ in items]), ("_", [other for _, other in items])):
                given = [b"null" if value is None else value for value in values]
                if any(value is not None for value in values):
                    text = b"[" + b",".join(given) + b"]" if many else given[0]
                    parts.append(b'"%s%s":%s' % (prefix.encode(), name.encode(), text))
        if self.primitive and not parts:
            return None
        return b"{" + b",".join(parts) + b"}"


class _Reader:
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.open: list[_Frame] = []
        self.issues: list[Issue] = []
        self.skipped = 0  # levels inside an element that was refused
        self.div: Div | None = None
        self.declared: list[tuple[str | None, str]] = []  # prefix and namespace, by the element that begins
        self.done = b""
        self.parser = parser = expat.ParserCreate("UTF-8", " ")
        parser.ordered_attributes = True
        parser.buffer_text = True
        parser.namespace_prefixes = True
        parser.StartNamespaceDeclHandler = self.declare
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.text
        parser.CommentHandler = self.comment
        parser.ProcessingInstructionHandler = self.instruction
        parser.StartDoctypeDeclHandler = self.doctype
        parser.XmlDeclHandler = self.declaration

    def read(self) -> bytes:
        if self.body.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in self.body[:4]:
            raise Invalid("the body is not XML in UTF-8, which FHIR is written in", code="structure")
        try:
            self.parser.Parse(self.body, True)
        except expat.ExpatError as error:
            what = expat.ErrorString(error.code)
            place = f"line {error.lineno}, column {error.offset + 1}"
            raise Invalid(f"the body is not well-formed XML: {place}: {what}", self.at(), code="structure") from error
        if self.issues:
            raise Invalid(self.issues)
        return self.done

    # --------------------------------------------------------------------------------------------------- refusals
    def at(self) -> str:
        return self.open[-1].path if self.open else ""

    def say(self, text: str, path: str) -> None:
        """Notes a fault at the line that is being read; all are told in one answer."""
        self.issues.append(Issue("structure", f"line {self.parser.CurrentLineNumber}: {text}", path))
        if len(self.issues) >= MOST_ISSUES:
            self.issues.append(Issue("too-costly", f"more than {MOST_ISSUES} issues; the rest is not listed"))
            raise Invalid(self.issues)

    def refuse(self, text: str, path: str = "", code: str = "structure") -> NoReturn:
        line = self.parser.CurrentLineNumber
        raise Invalid([*self.issues, Issue(code, f"line {line}: {text}", path or self.at())])

    def doctype(self, *declaration: object) -> None:
        self.refuse("a document type (DOCTYPE) is not allowed: neither DTD nor entities are read")

    def declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding and encoding.lower() not in ("utf-8", "us-ascii"):
            self.refuse(f"FHIR is written in UTF-8; this says it is {encoding}")

    # ----------------------------------------------------------------------------------------------------- elements
    def start(self, tag: str, given: list[str]) -> None:
        if len(self.open) + self.skipped + (self.div.depth if self.div else 0) >= DEEPEST:
            self.refuse(f"elements nest deeper than {DEEPEST}", code="too-costly")
        if self.div is not None:
            self.div.start(tag, given)
        elif self.skipped:
            self.skipped += 1
        else:
            frame = self.child(tag)
            if frame is None:
                self.skipped = 1
            elif frame.slot is not None and frame.slot.type == "xhtml":
                self.open.append(frame)
                itself = (None, XHTML) in self.declared
                self.div = Div(self.body, self.parser.CurrentByteIndex, declares_itself=itself)
                self.div.start(tag, given)
            else:
                self.open.append(frame)
                self.attributes(frame, given)
        self.declared.clear()

    def declare(self, prefix: str | None, namespace: str) -> None:
        self.declared.append((prefix, namespace))

    def child(self, tag: str) -> _Frame | None:
        """The frame of an element that begins; None if it may not stand here, which is noted."""
        space, rest, _ = split(tag)
        parent = self.open[-1] if self.open else None
        slot = slots(parent.node).get(rest) if parent and parent.node and not parent.resource else None
        wanted = XHTML if slot is not None and slot.type == "xhtml" else FHIR
        path = parent.path if parent else ""
        if space != wanted:
            found = f"in {space}" if space else "in none"
            self.say(f"<{rest}> must be in the namespace {wanted}; it is {found}", f"{path}.{rest}" if path else "")
            return None
        if parent is None or parent.resource:
            return self.resource(rest, parent)
        if slot is None:
            self.say(
                f"{parent.node or parent.path} has no element <{rest}>{_guess(rest, parent.node)}", f"{path}.{rest}"
            )
            return None
        return self.element(rest, slot, parent)

    def resource(self, name: str, parent: _Frame | None) -> _Frame | None:
        path = parent.path if parent else name
        if name not in tables.resource_types():
            self.say(f"<{name}> is not a resource type of FHIR R4", path if parent else "")
            return None
        if parent and parent.value is not None:
            self.say(f"<{parent.name}> holds one resource; this is one more", path)
            return None
        frame = _Frame(name, name, path, None)
        frame.head.append(b'"resourceType":"%s"' % name.encode())
        return frame

    def element(self, name: str, slot: Slot, parent: _Frame) -> _Frame:
        path = f"{parent.path}.{slot.name}"
        if slot.many:
            path += f"[{len(parent.members.get(name, ()))}]"
        if slot.rank < parent.rank:
            self.say(f"<{name}> is out of order: it stands before <{next(reversed(parent.members))}>", path)
        parent.rank = max(slot.rank, parent.rank)
        parent.members.setdefault(name, [])
        if slot.type in tables.primitives():
            node = "" if slot.plain else "Element"
        else:
            node = "" if slot.type == "Resource" else slot.type
        return _Frame(name, node, path, slot)

    def attributes(self, frame: _Frame, given: list[str]) -> None:
        allowed = attributes(frame.node) if frame.node else ()
        for name, value in zip(given[::2], given[1::2], strict=True):
            if name == "value" and frame.primitive:
                assert frame.slot is not None
                frame.value = _json_value(frame.slot.type, value)
            elif name in allowed:
                frame.head.append(b'"%s":%s' % (name.encode(), orjson.dumps(value)))
            elif not name.startswith(_IGNORED):
                local = split(name)[1]
                self.say(f'<{frame.name}> has no attribute "{local}"', f"{frame.path}.{local}")

    def end(self, tag: str) -> None:
        if self.skipped:
            self.skipped -= 1
            return
        if self.div is not None:
            if not self.div.end(tag, self.parser.CurrentByteIndex):
                return
            self.open[-1].value, self.div = orjson.dumps(self.div.text()), None
        frame = self.open.pop()
        parent = self.open[-1] if self.open else None
        if parent is None:
            self.done = frame.json() or b""
        elif frame.slot is None:
            parent.value = frame.json()
        elif frame.resource:
            if frame.value is None:
                self.say(f"<{frame.name}> holds no resource", frame.path)
            parent.members[frame.name].append((frame.value, None))
        elif frame.primitive:
            shadow = frame.json()
            if frame.value is None and shadow is None:
                self.say(f"<{frame.name}> has neither a value nor an id or extension: leave it out", frame.path)
            parent.members[frame.name].append((frame.value, shadow))
        else:
            parent.members[frame.name].append((frame.json(), None))

    # ------------------------------------------------------------------------------------------- all between elements
    def text(self, text: str) -> None:
        if self.div is not None:
            self.div.say(text)
        elif not self.skipped and self.open and text.strip(" \t\r\n"):
            frame = self.open[-1]
            hint = f'; its value is the attribute: <{frame.name} value="…"/>' if frame.primitive else ""
            self.say(f"<{frame.name}> has text inside, which FHIR does not{hint}", frame.path)

    def comment(self, text: str) -> None:
        """Comments are no data (xml.html); in a narrative they stay."""
        if self.div is not None:
            self.div.comment(text)

    def instruction(self, target: str, text: str) -> None:
        if self.open:
            self.say(f"a processing instruction (<?{target} …?>) is not allowed", self.at())


def _json_value(type: str, value: str) -> bytes:
    """What the attribute says, as JSON. What is no number or boolean stays a string: the validator says so."""
    if (type in NUMBERS and _is_number(value)) or (type == "boolean" and value in ("true", "false")):
        return value.encode()
    return orjson.dumps(value)


def _guess(name: str, node: str) -> str:
    """`; did you mean <…>?` for a name that looks like a known one, else ''."""
    import difflib  # only for messages

    found = difflib.get_close_matches(name[:60], list(slots(node)) if node else [], 1, 0.75)
    return f"; did you mean <{found[0]}>?" if found else ""
