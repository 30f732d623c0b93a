"""A section's text as FHIR narrative: the author's own `text` if there is one, then every statement of the entries.

The XHTML is what https://hl7.org/fhir/R4/narrative.html allows and nothing else; all text is escaped. Everything that
an entry carries is in here, whether or not a rule made a resource of it.
"""

from collections.abc import Iterator
from html import escape

from adapters.cda.record import TYPE, Node
from adapters.cda.section import label_of
from adapters.cda.tables import real, word
from adapters.contract import Resource

_EMPTY = "（本节无内容）"
_XHTML = "http://www.w3.org/1999/xhtml"
# StrucDoc.Text (CDA R2, 4.3.5) -> XHTML. What is not here keeps its content and loses its tag.
_TAGS = {
    "paragraph": "p",
    "list": "ul",
    "item": "li",
    "table": "table",
    "thead": "thead",
    "tbody": "tbody",
    "tfoot": "tfoot",
    "tr": "tr",
    "td": "td",
    "th": "th",
    "sub": "sub",
    "sup": "sup",
    "caption": "caption",
}
_TABLE_PARTS = {"table", "thead", "tbody", "tfoot", "tr", "list"}  # hold elements only, no loose text
_STATEMENTS = {"observation", "act", "organizer", "procedure", "substanceAdministration", "encounter", "supply"}
_LINKS = {"entryRelationship", "component", "entry"}
_DATA = ("value", "extension", "displayName", "code", "literal")


def narrative(section: Node, *, consolidated: bool = False) -> Resource:
    """Narrative of a section without its subsections. status `generated` when the source gave no text of its own.

    In C-CDA the author attests the text and vouches that it says all the entries say (R2.1, 1.1): there it stays as it
    is, and statements are told only where the author wrote none.
    """
    text = section.child("text")
    own = _own(text) if text is not None else ""
    if own and consolidated:
        return {"status": "additional", "div": f'<div xmlns="{_XHTML}">{own}</div>'}
    rows = "".join(_statement(node) for entry in section.named("entry") for node in entry.children)
    content = own + (f"<ul>{rows}</ul>" if rows else "")
    return {
        "status": "additional" if own else "generated",
        "div": f'<div xmlns="{_XHTML}">{content or f"<p>{_EMPTY}</p>"}</div>',
    }


def lines(text: str) -> str:
    """Escaped text with its line ends as <br/>."""
    return "<br/>".join(escape(line.strip(), quote=True) for line in text.strip().splitlines())


# --------------------------------------------------------------------------------------------- source text
def _own(text: Node) -> str:
    if not text.words():
        return ""
    if not text.children:
        return f"<p>{lines(text.text)}</p>"
    return f"<div>{_mixed(text)}</div>"


def _mixed(node: Node) -> str:
    loose = node.name not in _TABLE_PARTS
    parts = [lines(node.text) if loose else ""]
    for child in node.children:
        parts.append(_element(child, node.name))
        parts.append(lines(child.tail) if loose else "")
    return "".join(parts)


def _element(node: Node, parent: str) -> str:
    if node.name == "br":
        return "<br/>"
    tag = _TAGS.get(node.name)
    if tag == "caption" and parent != "table":
        tag = "li" if parent == "list" else "b"
    inner = _mixed(node)
    if not tag:
        return inner
    return f"<{tag}>{inner}</{tag}>" if inner else ""


# ---------------------------------------------------------------------------------------------- statements
def _statement(node: Node) -> str:
    """`<li><b>label</b>: value …<ul>parts</ul></li>`; a wrapper without a say of its own is looked through."""
    label, said = label_of(node), list(_said(node))
    inner = "".join(_statement(child) for child in _parts(node))
    if node.get("negationInd") == "true":
        said.insert(0, "（否定）")
    if not said and not (label and node.name in _STATEMENTS):
        return inner
    head = f"<b>{lines(label)}</b>" if label else ""
    body = "；".join(said)
    nested = f"<ul>{inner}</ul>" if inner else ""
    return f"<li>{head}{'：' if head and body else ''}{body}{nested}</li>"


def _parts(node: Node) -> Iterator[Node]:
    """Statements below this one, through links and unknown wrappers."""
    for child in node.children:
        if child.name in _LINKS:
            yield from child.children
        elif child.name in _STATEMENTS or _holds_statement(child):
            yield child


def _holds_statement(node: Node) -> bool:
    return bool(node.children) and any(one.name in _STATEMENTS for one in node.walk())


def _said(node: Node) -> Iterator[str]:
    """What the statement itself says: its value or text first, then every other element that carries something."""
    for child in node.children:
        if child.name == "code":
            extra = child.find("qualifier/name")
            if extra is not None and real(extra.get("displayName")) not in ("", label_of(node)):
                yield f"（{lines(extra.get('displayName'))}）"
        elif child.name in ("value", "text", "desc"):
            shown = value(child)
            if shown:
                yield shown
        elif child.name in _LINKS or child.name in _STATEMENTS or _holds_statement(child):
            continue
        else:
            shown = " ".join(part for one in child.walk() if (part := _carried(one)))
            if shown:
                yield f"{lines(word(child.name))} {shown}"


def value(node: Node) -> str:
    """A value as a reader wants it: `A型 (1)`, `7 天`, `是`."""
    words = lines(node.words())
    if node.get(TYPE) == "BL":
        return {"true": "是", "false": "否"}.get(node.get("value").lower(), lines(node.get("value")))
    shown = words or lines(node.get("displayName"))
    code = lines(node.get("code"))
    if code:
        shown = f"{shown} ({code})" if shown else code
    amount = lines(f"{node.get('value')} {node.get('unit') or node.get('currency')}") if node.get("value") else ""
    if node.children and not words:
        amount = " ".join([amount, *(part for one in node.children for part in [_carried(one)] if part)]).strip()
    return " ".join(part for part in (shown, amount) if part)


def _carried(node: Node) -> str:
    """The data of one element: own text, then value with unit, extension, display and code."""
    if node.name == "code" and node.get("code").startswith("DE"):
        return ""  # a data element's name is a label, not data
    own = node.text.strip() or next((real(node.get(name)) for name in _DATA[:3] if real(node.get(name))), "")
    if not own and node.name != "code":
        own = real(node.get("code"))
    if not own or not real(own):
        return ""
    unit = node.get("unit")
    role = {"low": "自 ", "high": "至 "}.get(node.name, "")
    return lines(f"{role}{own}{f' {unit}' if unit else ''}")
