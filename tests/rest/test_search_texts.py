"""_text, _content, _filter and pinyin, as tables: query -> what it finds (https://hl7.org/fhir/R4/search.html#content,
https://hl7.org/fhir/R4/search_filter.html)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests import servers
from tests.client import Fhir, refused

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">%s</div>'
WRITTEN: dict[str, dict[str, Any]] = {
    "a": {
        "name": [{"family": "王", "given": ["小明"]}],
        "gender": "male",
        "birthDate": "1980-05-01",
        "text": {"status": "generated", "div": DIV % "<p>高血压3级，<b>极高危</b> &amp; Type 2 Diabetes</p>"},
        "identifier": [{"system": "urn:id", "value": "110"}],
    },
    "b": {
        "name": [{"family": "单", "given": ["雄", "信"]}, {"text": "Ｓｈａｎ Xiong"}],
        "gender": "male",
        "birthDate": "1970-01-01",
        "text": {"status": "generated", "div": DIV % "血压正常 diabetesless"},
        "contact": [{"name": {"text": "高血压门诊"}}],
        "address": [{"city": "北京"}],
    },
    "c": {
        "name": [{"family": "Müller", "given": ["Jo"]}],
        "gender": "female",
        "birthDate": "1990-12-31",
        "address": [{"city": "Köln"}],
    },
    "d": {
        "name": [{"family": "欧阳", "given": ["修"]}],
        "gender": "other",
        "managingOrganization": {"reference": "Organization/texts"},
    },
}
CASES = [
    ("_text=高血压", "a"),
    ("_text=血压", "ab"),
    ("_text=压", "ab"),
    ("_text=高危", "a"),
    ("_text=级极", ""),
    ("_text=diabetes", "a"),
    ("_text=DIABETES 高血压", "a"),
    ("_text=diabetes,正常", "ab"),
    ("_text=div", ""),
    ("_text=amp", ""),
    ("_content=高血压", "ab"),
    ("_content=高血压门诊", "b"),
    ("_content=köln", "c"),
    ("_content=小明", "a"),
    ("_content=female", "c"),
    # pinyin
    ("pinyin=wangxiaoming", "a"),
    ("pinyin=Wang Xiao Ming", "a"),
    ("pinyin=wxm", "a"),
    ("pinyin=xiaom", "a"),
    ("pinyin=shan", "b"),
    ("pinyin=sxx", "b"),
    ("pinyin=ouyangxiu,wxm", "ad"),
    ("pinyin:missing=true", "c"),
    # _filter
    ("_filter=gender eq male", "ab"),
    ("_filter=gender eq male and birthdate ge 1980", "a"),
    ("_filter=gender eq female or birthdate lt 1980", "bc"),
    ("_filter=not (gender eq male)", "cd"),
    ("_filter=(gender eq male or gender eq female) and not (birthdate lt 1980-01-01)", "ac"),
    ("_filter=gender eq male or gender eq female and birthdate gt 1989", "abc"),
    ('_filter=family eq "MULLER"', "c"),
    ('_filter=family eq "Müll"', ""),
    ('_filter=family sw "Müll"', "c"),
    ('_filter=family ew "ller"', "c"),
    ('_filter=family co "ülle"', "c"),
    ('_filter=family ne "王"', "bcd"),
    ("_filter=gender ne male", "cd"),
    ("_filter=identifier eq urn:id|110", "a"),
    ("_filter=birthdate pr true", "abc"),
    ("_filter=birthdate pr false", "d"),
    ("_filter=birthdate eq 1980-05", "a"),
    ("_filter=birthdate po 1980-05", "a"),
    ('_filter=organization.name co "中心"', "d"),
    ("_filter=_id eq a or _lastUpdated lt 2000", "a"),
]


@pytest.fixture(scope="module")
async def texts(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fhir]:
    """A server that indexes all texts, with WRITTEN on it."""
    url = store_url and f"{store_url}_texts_{uuid4().hex[:8]}"
    folder: Path = tmp_path_factory.mktemp("texts")
    async with servers.in_process(servers.app_on(url, folder, text_search="content")) as http:
        fhir = Fhir(http, servers.BASE)
        await fhir.store({"resourceType": "Organization", "id": "texts", "name": "社区卫生服务中心"})
        await fhir.store(*({"resourceType": "Patient", "id": id, **one} for id, one in WRITTEN.items()))
        yield fhir


@pytest.mark.parametrize(("query", "expected"), CASES)
async def test_a_search_in_texts_finds_what_it_should(texts: Fhir, query: str, expected: str) -> None:
    assert "".join(sorted(await texts.ids(f"Patient?{query.replace('&', '%26')}"))) == expected


async def test_a_text_that_is_changed_is_found_by_its_new_words_only(texts: Fhir) -> None:
    one = {"resourceType": "Basic", "id": "words", "code": {"text": "x"}}
    await texts.store({**one, "text": {"status": "generated", "div": DIV % "肺炎"}})
    assert await texts.ids("Basic?_text=肺炎") == ["words"]
    await texts.store({**one, "text": {"status": "generated", "div": DIV % "肺癌"}})
    assert await texts.ids("Basic?_text=肺炎") == []
    assert await texts.ids("Basic?_text=肺癌") == ["words"]
    assert (await texts.delete("Basic/words")).status_code == 204
    assert await texts.ids("Basic?_text=肺癌") == []


async def test_what_is_switched_off_is_refused_by_name(fhir: Fhir) -> None:
    assert refused(await fhir.get("Patient?_content=x"), 501)["expression"] == ["_content"]
    assert await fhir.ids("Patient?_text=nowhere") == []


@pytest.mark.parametrize(
    ("filter", "status"),
    [
        ("gender", 400),
        ("gender eq", 400),
        ("gender eq male and", 400),
        ("(gender eq male", 400),
        ("gender eq male)", 400),
        ("gender eq male gender eq female", 400),
        ("nope eq 1", 400),
        ('family eq "x', 400),
        ("birthdate eq someday", 400),
        ("birthdate pr maybe", 400),
        ("gender co m", 501),
        ('family re "x"', 501),
        ("(" * 200 + "gender eq male" + ")" * 200, 400),
        ("", 400),
    ],
)
async def test_a_filter_that_means_nothing_is_refused(fhir: Fhir, filter: str, status: int) -> None:
    assert refused(await fhir.get(f"Patient?_filter={filter}"), status)["expression"] == ["_filter"]
