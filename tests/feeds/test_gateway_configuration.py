"""The gateway's configuration: the example in the documentation, defaults, and one plain sentence for every mistake."""

import re
from pathlib import Path

import pytest

from adapters.gateway.configuration import DESTINATION, JOURNAL, KINDS, SOURCE, ConfigurationError, options, read

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text("utf-8")
EXAMPLE = re.findall(r"```toml\n(.*?)```", DOCUMENTED, re.DOTALL)[0]
SMALL = """
[journal]
path = "gateway.sqlite"
[destination.main]
url = "http://127.0.0.1:8080/fhir"
[source.his]
kind = "mllp"
port = 2575
destination = "main"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "gateway.toml"
    path.write_text(text, "utf-8")
    return path


def test_the_documented_example_is_in_order_and_shows_every_option(tmp_path: Path) -> None:
    found = read(written(tmp_path, EXAMPLE))
    assert [one.source.name for one in found.inputs] == ["his", "web", "exports", "contracts"]
    his = found.inputs[0]
    assert (his.source.ack, his.source.silence_after, his.source.habits.charset) == ("stored", 1800.0, "gb18030")
    assert (found.budget_bytes, found.retention.keep["delivered"]) == (20 << 30, 30 * 86400.0)
    assert (found.outputs[0].retry.longest, found.outputs[0].parallel) == (3600.0, 4)
    known = {*JOURNAL, *DESTINATION, *SOURCE, *(name for table in KINDS.values() for name in table)}
    assert {name for name in known if not re.search(rf"^{name} =", EXAMPLE, re.MULTILINE)} == set()


def test_what_is_not_said_has_safe_defaults(tmp_path: Path) -> None:
    (his,) = read(written(tmp_path, SMALL)).inputs
    assert (his.options["host"], his.options["allow_open"], his.source.ack) == ("127.0.0.1", False, "stored")
    assert his.options == options("mllp", port=2575)


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ("[journal]", "[jurnal]", "jurnal is not known; there are journal, destination, source"),
        ('path = "gateway.sqlite"', "", "journal.path is missing"),
        ('path = "gateway.sqlite"', 'path = "x"\nkeep = { received = "1d" }', "journal.keep.received: only delivered"),
        ('path = "gateway.sqlite"', 'path = "x"\ndisk = "much"', 'journal.disk is a size such as "64 MB"'),
        ("url = ", "uri = ", "destination.main.uri is not known"),
        ("http://127", "ftp://127", "destination.main.url is a FHIR base URL"),
        ("port = 2575", "port = 70000", "source.his.port is a whole number from 0 to 65535"),
        ("port = 2575", "", "source.his.port is missing"),
        ('kind = "mllp"', 'kind = "soap"', "source.his.kind is one of mllp, http, folder, file"),
        ("port = 2575", 'port = 1\nack = "maybe"', "source.his.ack is one of stored, committed"),
        ("port = 2575", 'port = 1\nadapter = "x12"', "source.his.adapter is one of"),
        ("port = 2575", 'port = 1\nzone = "Asia/Shanghai"', 'source.his.zone is an offset such as "+08:00"'),
        ("port = 2575", 'port = 1\ncharset = "klingon"', "source.his.charset is a charset such as"),
        ("port = 2575", "port = 1\nsilence_after = 30", 'source.his.silence_after is a time such as "30s"'),
        ("port = 2575", 'port = 1\nallow = ["here"]', "source.his.allow is a list of addresses"),
        ("port = 2575", 'port = 1\ncertificate = "x"', "source.his: certificate and private_key go together"),
        ('destination = "main"', 'destination = "other"', "source.his.destination: there is no destination other"),
        ('destination = "main"', "", "source.his.destination is missing"),
        ("[source.his]", "[source", "is no TOML"),
    ],
)
def test_a_mistake_is_one_plain_sentence_that_names_its_place(tmp_path: Path, change: str, to: str, said: str) -> None:
    assert change in SMALL
    with pytest.raises(ConfigurationError) as caught:
        read(written(tmp_path, SMALL.replace(change, to)))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_nobody_waits_for_the_answer_to_a_file(tmp_path: Path) -> None:
    text = SMALL.replace('kind = "mllp"\nport = 2575', 'kind = "folder"\npath = "x"\nack = "committed"')
    with pytest.raises(ConfigurationError, match="nobody waits"):
        read(written(tmp_path, text))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read(tmp_path / "none.toml")
