"""The XHTML of a Narrative: a well-formed `div` with nothing in it that could run, load or mislead.

https://hl7.org/fhir/R4/narrative.html#xhtml: the elements of HTML 4.0 chapters 7 to 11 (without section 4 of chapter
9) and 15, `a`, images and internal style; no script, form, object, external style or event attribute.
"""

import re
from xml.parsers import expat

XHTML = "http://www.w3.org/1999/xhtml"

_ELEMENTS = """
    a abbr acronym address area b bdo big blockquote br caption cite code col colgroup dd dfn div dl dt em
    h1 h2 h3 h4 h5 h6 hr i img kbd li map ol p pre q samp small span strong sub sup
    table tbody td tfoot th thead tr tt ul var
"""
_ATTRIBUTES = """
    abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff charset
    cite class cols colspan compact coords dir frame headers height href hreflang hspace id lang longdesc name nohref
    nowrap rel rev rowspan rules scope shape span src start style summary tabindex title type usemap valign value
    vspace width
"""
ELEMENTS = frozenset(_ELEMENTS.split())
ATTRIBUTES = frozenset(_ATTRIBUTES.split()) | {
    "http://www.w3.org/XML/1998/namespace lang",
    "http://www.w3.org/XML/1998/namespace space",
}
ADDRESSES = frozenset({"href", "src", "cite", "longdesc", "usemap"})
DEEPEST = 100

# What nearly every generated narrative looks like: paragraphs without attributes. Says yes or "don't know".
_TEXT = r"[^<>&\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]*"
_PART = rf"<(p|b|i|em|strong)>{_TEXT}</\1>{_TEXT}|<br ?/>{_TEXT}"
is_simple = re.compile(rf'<div xmlns="http://www\.w3\.org/1999/xhtml">{_TEXT}(?:{_PART})*</div>').fullmatch

_refused_scheme = re.compile(r"[\x00-\x20]*(?:javascript|vbscript|data(?!:image/))[\x00-\x20]*:", re.IGNORECASE).match


class _Refused(Exception):
    pass


class _Reader:
    def __init__(self) -> None:
        self.depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        if space != XHTML:
            raise _Refused(f"<{local}> is not in the namespace {XHTML}")
        if self.depth == 0 and local != "div":
            raise _Refused(f"the root element must be <div>, not <{local}>")
        if local not in ELEMENTS:
            raise _Refused(f"<{local}> is not allowed")
        for attribute, value in attributes.items():
            if attribute not in ATTRIBUTES:
                raise _Refused(f'the attribute "{attribute}" of <{local}> is not allowed')
            if attribute in ADDRESSES and _refused_scheme(value):
                raise _Refused(f'the address in "{attribute}" of <{local}> is not allowed')
        self.depth += 1
        if self.depth > DEEPEST:
            raise _Refused(f"elements nest deeper than {DEEPEST}")

    def end(self, name: str) -> None:
        self.depth -= 1

    def refuse(self, *declaration: object) -> None:
        raise _Refused("a document type or processing instruction is not allowed")


def fault(div: str) -> str:
    """'' if the text is a valid `Narrative.div`, else what is wrong with it."""
    if is_simple(div):
        return ""
    reader = _Reader()
    parser = expat.ParserCreate("UTF-8", " ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.ProcessingInstructionHandler = reader.refuse
    try:
        parser.Parse(div.encode(), True)
    except expat.ExpatError as error:
        what = expat.ErrorString(error.code)
        return f"not well-formed XML (line {error.lineno}, column {error.offset + 1}: {what})"
    except UnicodeEncodeError:
        return "not Unicode text (a lone surrogate)"
    except _Refused as refused:
        return str(refused)
    return ""
