"""The narrative of a section: generated when the source has none, escaped, complete, and nothing but allowed XHTML."""

import re

import pytest
from lxml import etree

from tests.feeds.cases.cda_builder import convert_one, document, observation, one, sample, section, st

XHTML = "{http://www.w3.org/1999/xhtml}"
# https://hl7.org/fhir/R4/narrative.html#rules: what a narrative may hold (of what we make)
ALLOWED = {
    "div",
    "p",
    "ul",
    "li",
    "b",
    "br",
    "table",
    "thead",
    "tbody",
    "tfoot",
    "tr",
    "td",
    "th",
    "caption",
    "sub",
    "sup",
}


def narratives(content: bytes) -> list[str]:
    return [part["text"]["div"] for part in one(convert_one(content), "Composition")["section"]]


def parsed(div: str) -> etree._Element:
    root = etree.fromstring(div.encode())
    assert root.tag == f"{XHTML}div"
    assert {str(node.tag).removeprefix(XHTML) for node in root.iter()} <= ALLOWED
    assert not [node for node in root.iter() if node.attrib]
    assert "".join(root.itertext()).strip()
    return root


def test_an_empty_text_gets_a_narrative_of_the_entries() -> None:
    content = document(section("8648-8", observation("DE06.00.296.00", st("入院后降压治疗"), "诊疗过程描述")))
    composition = one(convert_one(content), "Composition")
    text = composition["section"][0]["text"]
    assert text["status"] == "generated"
    assert "".join(parsed(text["div"]).itertext()) == "诊疗过程描述：入院后降压治疗"


HOSTILE = [
    "a < b && c > d",
    "<script>alert(1)</script>",
    "\"quotes\" and 'apostrophes'",
    "]]> end of CDATA",
    "&amp; is five characters",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_escaped(text: str) -> None:
    xml = f"<![CDATA[{text}]]>" if "]]>" not in text else text.replace(">", "&gt;")
    for content in (
        document(section("8648-8", observation("DE06.00.296.00", st(xml), "诊疗过程描述"))),
        document(section("8648-8", text=xml)),
    ):
        (div,) = narratives(content)
        assert text in "".join(parsed(div).itertext())


def test_a_label_is_escaped() -> None:
    (div,) = narratives(
        document(section("8648-8", observation("DE06.00.296.00", st("值"), "&lt;b&gt;过程&lt;/b&gt; &amp;")))
    )
    assert "<b>过程</b> &：值" in "".join(parsed(div).itertext())


def test_line_ends_become_breaks() -> None:
    (div,) = narratives(document(section("8648-8", observation("DE06.00.296.00", st("一\n二\n三"), "过程"))))
    assert "一<br/>二<br/>三" in div


def test_the_authors_own_text_stands_before_the_entries() -> None:
    rows = (
        "<table><thead><tr><th>项目</th></tr></thead><tbody><tr><td styleCode='Bold'>血钾 4.1</td></tr></tbody></table>"
    )
    text = f"<paragraph>见下表</paragraph>{rows}<list><item>一</item></list><content ID='x'>备注</content><br/>完"
    content = document(section("30954-2", observation("DE04.10.258.00", st("正常"), "检查"), text=text))
    part = one(convert_one(content), "Composition")["section"][0]["text"]
    root = parsed(part["div"])
    assert part["status"] == "additional"
    words = re.sub(r"\s+", "", "".join(root.itertext()))
    assert words == "见下表项目血钾4.1一备注完检查：正常"
    assert root.find(f".//{XHTML}td") is not None


def test_a_section_without_anything_says_so() -> None:
    (div,) = narratives(document(section("30954-2")))
    assert "本节无内容" in "".join(parsed(div).itertext())


def test_what_no_rule_takes_is_still_in_the_narrative() -> None:
    urgent = '<priorityCode code="UR" displayName="加急"/>'
    odd = f'<act><code code="9" displayName="奇怪的记录"/><text>一段没有规则的话</text>{urgent}</act>'
    (div,) = narratives(document(section("30954-2", odd)))
    words = "".join(parsed(div).itertext())
    assert all(word in words for word in ("奇怪的记录", "一段没有规则的话", "加急"))


def test_every_value_of_an_entry_is_in_the_narrative() -> None:
    values = [
        ('<value xsi:type="CD" code="A" displayName="甲类"/>', "甲类 (A)"),
        ('<value xsi:type="PQ" value="7.50" unit="天"/>', "7.50 天"),
        ('<value xsi:type="BL" value="true"/>', "是"),
        ('<value xsi:type="INT" value="4"/>', "4"),
        ('<value xsi:type="MO" value="4.00" currency="元"/>', "4.00 元"),
        ('<value xsi:type="TS" value="20240305"/>', "20240305"),
    ]
    for xml, shown in values:
        (div,) = narratives(document(section("30954-2", observation("DE04.10.258.00", xml, "项目"))))
        assert "".join(parsed(div).itertext()) == f"项目：{shown}"


def test_every_narrative_of_the_samples_is_allowed_xhtml() -> None:
    for name in ("discharge_record_c0049.gb18030.xml", "discharge_summary_c0053.xml", "referral_a0003.xml"):
        for part in one(sample(name), "Composition")["section"]:
            parsed(part["text"]["div"])
