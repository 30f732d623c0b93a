"""JSON -> FHIR XML -> JSON says the same, to the digit, and the XML is in the order of the definition
(https://hl7.org/fhir/R4/xml.html). XML is looked at with lxml, which the server does not use for it."""

import json
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from server.errors import Invalid, NotAcceptable
from server.model import tables
from server.model.xml_read import read
from server.model.xml_write import write
from tests.instances import VALUES, minimal

F, X = "{http://hl7.org/fhir}", "{http://www.w3.org/1999/xhtml}"
EXAMPLES = settings(max_examples=150, deadline=None)
Json = dict[str, Any]


def digits(text: str | bytes) -> Any:
    """JSON with number texts; a number and a string of the same letters differ."""
    return json.loads(text, parse_float=lambda t: ("number", t), parse_int=lambda t: ("number", t))


def there_and_back(text: str) -> bytes:
    return read(write(text.encode()))


# ------------------------------------------------------------------------------------------ resources by the tables
TEXTS = st.one_of(
    st.sampled_from(
        ["a & b < c > d", "\"'", "a\nb\tc\r\nd\re", " x ", "𠮷野家", "&amp;", "]]>", "<!-- x -->", "王　小明"]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=8),
)
DECIMALS = st.one_of(
    st.sampled_from(["1.00", "0.10", "-0.0", "-0", "1e5", "1E+2", "12345678901234567890.12345678901234567890"]),
    st.from_regex(
        r"-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?", fullmatch=True, alphabet="0123456789.-+eE"
    ),
)
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'
DIVS = st.one_of(
    st.sampled_from(
        [
            DIV + "<p>a &amp; b &lt; c</p><br/></div>",
            DIV + '<p class="x"  title=\'a"b\'>&#160;王小明 &#x1F600;</p>\n<!-- kept --><hr /></div >',
            '<div\n xmlns="http://www.w3.org/1999/xhtml" xml:lang="zh"><![CDATA[a < b]]></div>',
            '<div xmlns="http://www.w3.org/1999/xhtml"/>',
        ]
    ),
    TEXTS.map(lambda text: f"{DIV}<b>{escape(text)}</b> </div>".replace("\r", "&#13;")),
)


def primitive(draw: st.DrawFn, type: str) -> str:
    """JSON text of a value."""
    if type in ("string", "markdown"):
        return json.dumps(draw(TEXTS), ensure_ascii=draw(st.booleans()))
    if type == "decimal":
        return draw(DECIMALS)
    if type == "boolean":
        return draw(st.sampled_from(["true", "false"]))
    if type in ("integer", "unsignedInt", "positiveInt"):
        return draw(st.sampled_from(["1", "20", "2147483647"]))
    return json.dumps(draw(DIVS) if type == "xhtml" else VALUES[type])


def shadow(draw: st.DrawFn, depth: int) -> str:
    """JSON text of `_name`: an id, extensions, or both."""
    parts = ['"id":"a1"'] if draw(st.booleans()) else []
    if not parts or draw(st.booleans()):
        parts.append(f'"extension":[{node(draw, "Extension", depth - 1)}]')
    return "{" + ",".join(parts) + "}"


def pair(draw: st.DrawFn, type: str, depth: int) -> tuple[str, str]:
    """Value and `_name` of a primitive, 'null' for one of the two at most."""
    kind = draw(st.sampled_from(["value", "value", "both", "shadow"])) if depth > 0 and type != "xhtml" else "value"
    return (
        primitive(draw, type) if kind != "shadow" else "null",
        shadow(draw, depth) if kind != "value" else "null",
    )


def member(draw: st.DrawFn, element: tables.Element, depth: int) -> list[str]:
    names = element.json_names
    name = draw(st.sampled_from(sorted(names)))
    type, many = names[name], element.max != 1
    count = draw(st.integers(1, 3)) if many else 1
    if type in tables.primitives():
        pairs = [(primitive(draw, type), "null") if element.plain else pair(draw, type, depth) for _ in range(count)]
        found = []
        for key, items in ((name, [one for one, _ in pairs]), (f"_{name}", [one for _, one in pairs])):
            if any(item != "null" for item in items):
                found.append(f'"{key}":[{",".join(items)}]' if many else f'"{key}":{items[0]}')
        return found
    if type == "Resource":
        inner = draw(st.sampled_from(["Basic", "Patient", "Observation", "Bundle", "Parameters"]))
        items = [node(draw, inner, depth - 1) for _ in range(count)]
    else:
        items = [node(draw, type, depth - 1) for _ in range(count)]
    return [f'"{name}":[{",".join(items)}]' if many else f'"{name}":{items[0]}']


def node(draw: st.DrawFn, path: str, depth: int) -> str:
    """JSON text of a node: required elements, and some others while `depth` lasts; members in any order."""
    is_resource = path in tables.resource_types()
    parts: list[str] = []
    elements = tables.node(path)
    optional = [e for e in elements if not e.min and (depth > 0 or e.plain)]
    some = draw(st.lists(st.sampled_from(optional), max_size=3, unique_by=lambda e: e.name)) if optional else []
    for element in elements:
        if element in some or (element.min and (depth > -3 or element.json_names.popitem()[1] in VALUES)):
            parts += member(draw, element, depth)
    if not parts:
        parts.append('"id":"x1"')
    parts = draw(st.permutations(parts))
    head = [f'"resourceType":"{path}"'] if is_resource else []
    return "{" + ",".join([*head, *parts]) + "}"


@st.composite
def resources(draw: st.DrawFn) -> str:
    return node(draw, draw(st.sampled_from(sorted(tables.resource_types()))), 3)


@EXAMPLES
@given(resources())
def test_what_goes_to_xml_and_back_says_the_same_to_the_digit(text: str) -> None:
    assert digits(there_and_back(text)) == digits(text)


@EXAMPLES
@given(resources())
def test_elements_stand_in_the_order_of_the_definition(text: str) -> None:
    def walk(element: Any, path: str) -> None:
        places = {name: i for i, e in enumerate(tables.node(path)) for name in e.json_names}
        types = {name: type for e in tables.node(path) for name, type in e.json_names.items()}
        children = [child for child in element if child.tag.startswith(F)]
        found = [places[child.tag.removeprefix(F)] for child in children]
        assert found == sorted(found), path
        for child in children:
            type = types[child.tag.removeprefix(F)]
            if type == "Resource":
                assert (len(child), dict(child.attrib)) == (1, {})
                walk(child[0], child[0].tag.removeprefix(F))
            else:
                walk(child, "Element" if type in tables.primitives() else type)

    root = etree.fromstring(write(text.encode()))
    walk(root, root.tag.removeprefix(F))


def test_the_smallest_instance_of_every_type_survives() -> None:
    assert len(tables.resource_types()) == 146
    for type in sorted(tables.resource_types()):
        xml = write(json.dumps(minimal(type)).encode())
        assert etree.fromstring(xml).tag == F + type
        assert json.loads(read(xml)) == minimal(type)


# ------------------------------------------------------------------------------------------------- by hand, to the byte
def test_a_resource_is_written_as_the_specification_shows_it() -> None:
    text = """{"resourceType":"Patient","_birthDate":{"id":"b","extension":[{"valueDecimal":1.00,"url":"urn:t"}]},
        "birthDate":"1970-03-30","id":"p","contained":[{"resourceType":"Basic","id":"c","code":{"id":"e","text":"x"}}],
        "name":[{"_given":[null,{"id":"n"}],"given":["a\\n\\"b\\"",null]}],"active":true}"""
    assert write(text.encode()).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?><Patient xmlns="http://hl7.org/fhir"><id value="p"/>'
        '<contained><Basic><id value="c"/><code id="e"><text value="x"/></code></Basic></contained>'
        '<active value="true"/><name><given value="a&#10;&quot;b&quot;"/><given id="n"/></name>'
        '<birthDate value="1970-03-30" id="b"><extension url="urn:t"><valueDecimal value="1.00"/></extension>'
        "</birthDate></Patient>"
    )


def patient(content: str, root: str = "") -> bytes:
    return f'<Patient xmlns="http://hl7.org/fhir"{root}>{content}</Patient>'.encode()


def test_comments_schema_locations_and_a_byte_order_mark_are_no_data() -> None:
    xsi = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir patient.xsd"'
    body = b"\xef\xbb\xbf<!-- a -->" + patient('<!-- b -->\n <active value="true"><!-- c --></active>', xsi)
    assert read(body) == b'{"resourceType":"Patient","active":true}'


def test_a_prefix_for_the_namespace_means_the_same() -> None:
    body = b'<f:Patient xmlns:f="http://hl7.org/fhir"><f:active value="true"/></f:Patient>'
    assert read(body) == b'{"resourceType":"Patient","active":true}'


@pytest.mark.parametrize(
    ("div", "kept"),
    [
        ('<h:div><h:p title="a &quot;&#10;">x &amp; y<h:br/></h:p></h:div>', "rewritten"),
        ('<h:div xmlns:h="http://www.w3.org/1999/xhtml"><!-- c --><h:p/></h:div>', "rewritten"),
        (DIV + "<p  class='a>b'>x &#160; y</p ></div\n>", "as it is"),
        ('<div xmlns="http://www.w3.org/1999/xhtml"/>', "as it is"),
        (DIV + "</div>", "as it is"),
        (DIV + "<br/></div>", "as it is"),
        (DIV + '<h:b>x</h:b><i xml:lang="zh">y</i></div>', "rewritten"),
    ],
)
def test_narrative_keeps_its_bytes_or_at_least_its_meaning(div: str, kept: str) -> None:
    body = patient(f'<text><status value="generated"/>{div}</text>', ' xmlns:h="http://www.w3.org/1999/xhtml"')
    found = json.loads(read(body))["text"]["div"]
    assert (found == div) == (kept == "as it is")
    meant = etree.fromstring(body).find(f"{F}text/{X}div")
    assert said(etree.fromstring(found)) == said(meant)


def said(element: Any) -> Any:
    """What a parser sees of an element, prefixes apart."""
    return (str(element.tag), dict(element.attrib), element.text or "", [(said(e), e.tail or "") for e in element])


def test_values_that_are_no_numbers_or_booleans_go_on_as_text_for_the_validator() -> None:
    body = patient('<active value="1"/><multipleBirthInteger value="007"/>')
    assert read(body) == b'{"resourceType":"Patient","active":"1","multipleBirthInteger":"007"}'


def test_an_unknown_member_is_never_left_out_in_silence() -> None:
    with pytest.raises(NotAcceptable, match="Patient has no element 'shoe'"):
        write(b'{"resourceType":"Patient","shoe":1}')
    with pytest.raises(NotAcceptable, match="HumanName has no element '_shoe'"):
        write(b'{"resourceType":"Patient","name":[{"_shoe":{"id":"x"}}]}')
    with pytest.raises(NotAcceptable, match="_div of a narrative"):
        write(b'{"resourceType":"Patient","text":{"status":"empty","_div":{"id":"x"}}}')


@pytest.mark.parametrize("letter", ["\\u0000", "\\ud800", "\\ufffe", "\\uffff"])
def test_what_xml_cannot_carry_is_refused_by_the_name_of_its_element(letter: str) -> None:
    for body, name in (('{"resourceType":"Basic","code":{"text":"a%s"}}', "text"),
                       ('{"resourceType":"Basic","extension":[{"url":"a%s"}]}', "extension.url")):  # fmt: skip
        with pytest.raises(NotAcceptable, match="which XML cannot carry") as refusal:
            write((body % letter).encode())
        assert refusal.value.issues[0].expression == name


# --------------------------------------------------------------------------------------------------------- refusals
DEEP = "<extension url='x'>" * 600
REFUSED = [
    (b"", "line 1, column 1: no element found", ""),
    (b"{}", "line 1, column 1: not well-formed", ""),
    (b'<Patient xmlns="http://hl7.org/fhir">\n  <active value="true">\n</Patient>', "line 3, column 3: mismatched tag",
     "Patient.active"),
    (patient('<active value="&nbsp;"/>'), "line 1, column 38: undefined entity", "Patient"),
    (patient('<active value="\x01"/>'), "not well-formed", "Patient"),
    (patient("<active value='a' value='b'/>"), "duplicate attribute", "Patient"),
    (b'<!DOCTYPE x [<!ENTITY a "b">]>' + patient(""), "DOCTYPE", ""),
    (b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + patient(""), "DOCTYPE", ""),
    (b'<?xml version="1.0" encoding="GBK"?>' + patient(""), "GBK", ""),
    ('<?xml version="1.0" encoding="UTF-16"?><Patient xmlns="http://hl7.org/fhir"/>'.encode("utf-16"), "UTF-8", ""),
    (patient("")[:-1].replace(b"fhir", b"\xff") + b">", "not well-formed", ""),
    (b"<Patient/>", "must be in the namespace http://hl7.org/fhir; it is in none", ""),
    (b'<Patient xmlns="urn:hl7-org:v3"/>', "it is in urn:hl7-org:v3", ""),
    (b'<Patient xmlns="http://hl7.org/fhir x"/>', "syntax error", ""),
    (b'<Shoe xmlns="http://hl7.org/fhir"/>', "<Shoe> is not a resource type", ""),
    (patient('<gendr value="male"><a/></gendr>'), "Patient has no element <gendr>; did you mean <gender>?",
     "Patient.gendr"),
    (patient('<name><given value="a"/></name><name><shoe/></name>'), "HumanName has no element <shoe>",
     "Patient.name[1].shoe"),
    (patient('<active value="true"><value/></active>'), "Element has no element <value>", "Patient.active.value"),
    (patient('<id value="a"><extension url="x"/></id>'), "has no element <extension>", "Patient.id.extension"),
    (patient("", ' id="x"'), '<Patient> has no attribute "id"', "Patient.id"),
    (patient('<name value="x"/>'), '<name> has no attribute "value"', "Patient.name[0].value"),
    (patient('<name xml:lang="zh"/>'), '<name> has no attribute "lang"', "Patient.name[0].lang"),
    (patient("<active>true</active>"), 'its value is the attribute: <active value="…"/>', "Patient.active"),
    (patient("<active/>"), "<active> has neither a value nor an id or extension", "Patient.active"),
    (patient('<gender value="male"/><name id="x"/>'), "<name> is out of order: it stands before <gender>",
     "Patient.name[0]"),
    (patient('<x:active xmlns:x="urn:x" value="true"/>'), "it is in urn:x", "Patient.active"),
    (patient("<text><div><p>x</p></div></text>"), "must be in the namespace http://www.w3.org/1999/xhtml",
     "Patient.text.div"),
    (patient("<contained/>"), "<contained> holds no resource", "Patient.contained[0]"),
    (patient("<contained><Basic/><Basic/></contained>"), "<contained> holds one resource", "Patient.contained[0]"),
    (patient("<contained><Shoe/></contained>"), "<Shoe> is not a resource type", "Patient.contained[0]"),
    (patient('<contained id="x"><Basic/></contained>'), 'no attribute "id"', "Patient.contained[0].id"),
    (patient("<?php x ?>"), "a processing instruction", "Patient"),
    (patient(DEEP), "elements nest deeper than 500", "Patient" + ".extension[0]" * 499),
]  # fmt: skip


@pytest.mark.parametrize(("body", "said", "expression"), REFUSED, ids=[said for _, said, _ in REFUSED])
def test_what_is_no_xml_of_r4_is_refused_with_line_and_element(body: bytes, said: str, expression: str) -> None:
    with pytest.raises(Invalid) as caught:
        read(body)
    issue = caught.value.issues[0]
    assert said in issue.diagnostics
    assert "line" in issue.diagnostics or said == "UTF-8"
    assert issue.expression == expression


def test_all_faults_are_told_at_once_up_to_a_limit() -> None:
    with pytest.raises(Invalid) as caught:
        read(patient("<shoe/>\n<hat/>"))
    assert [issue.expression for issue in caught.value.issues] == ["Patient.shoe", "Patient.hat"]
    assert [issue.diagnostics[:7] for issue in caught.value.issues] == ["line 1:", "line 2:"]
    with pytest.raises(Invalid) as caught:
        read(patient("<shoe/>" * 1000))
    assert len(caught.value.issues) == 201
