"""The tables that search reads beside R4's are what their tools write, and say what is known to be true."""

import importlib
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from server.search import pinyin
from server.search.kinds.units import unit

PROFILES = Path(__file__).resolve().parents[2] / "profiles"


def test_the_table_of_readings_is_what_its_tool_writes() -> None:
    tool = importlib.import_module("tools.pinyin")
    assert orjson.loads((PROFILES / "pinyin.json").read_bytes()) == tool.readings()


@pytest.mark.filterwarnings("ignore")  # of the library, while it builds its own cache
def test_the_table_of_units_is_what_its_tool_writes() -> None:
    tool = importlib.import_module("tools.units")
    assert orjson.loads((PROFILES / "units.json").read_bytes()) == tool.rows()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5 mg", "0.005 g"), ("1 g/dL", "10 g/L"), ("120 mm[Hg]", "15.9986864898 kPa"), ("37 Cel", "98.6 [degF]"),
        ("1 mmol/L", "1000 umol/L"), ("1 h", "60 min"), ("4.5 10*12/L", "4.5 10*6/uL"), ("1 U/L", "1 mU/mL"),
        ("100 %", "1 1"), ("1 [in_i]", "2.54 cm"), ("1 eq/L", "1 mol/L"), ("2 mg/kg", "2 ug/g"),
    ],
)  # fmt: skip
def test_equal_amounts_in_different_units_are_equal(one: str, other: str) -> None:
    amounts = []
    for text in (one, other):
        number, code = text.split()
        found = unit(code)
        assert found is not None, code
        amounts.append((found.base, float(found.amount(Decimal(number)))))
    assert amounts[0][0] == amounts[1][0]
    assert amounts[0][1] == pytest.approx(amounts[1][1], rel=1e-11)


@pytest.mark.parametrize("code", ["[iU]/L", "[pH]", "片", "{score}", "dB"])
def test_a_unit_that_measures_nothing_has_no_base(code: str) -> None:
    assert unit(code) is None


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ({"family": "王", "given": ["小明"]}, ["wangxiaoming", "wxm", "xiaoming"]),
        ({"family": "王", "given": ["小", "明"]}, ["wangxiaoming", "wxm", "xiaoming"]),
        ({"text": "单田芳"}, ["shantianfang", "stf"]),
        ({"family": "欧阳", "given": ["修"]}, ["ouyangxiu", "oyx", "xiu"]),
        ({"text": "尉迟恭"}, ["yuchigong", "ycg"]),
        ({"family": "吕", "given": ["布"]}, ["lvbu", "lubu", "lyubu", "lb", "bu"]),
        ({"family": "曾"}, ["zeng", "z"]),
        ({"text": "John"}, []),
        ({"text": "王John"}, []),
    ],
)
def test_a_name_is_read_as_people_read_it(name: dict[str, object], forms: list[str]) -> None:
    assert [value[0] for value in pinyin.values({"name": [name]})] == forms
