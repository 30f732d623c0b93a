"""A site's override file: what it changes, that others do not notice, and how it says what is wrong in it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.contract import Configurable, Mapped, Resource
from adapters.hl7v2 import ADAPTER
from adapters.kit.resource import id_of
from adapters.runner import convert

SITE = """\
name = "somewhere"
application = "HIS"
facility = "QH"
zone = "+09:00"

[events]
"ADT^ZP1" = "ADT^A08"

[segments]
ZDG = "DG1"

[moves]
"ZPD-3" = "PID-16"

[systems]
"99ICD" = "http://hl7.org/fhir/sid/icd-10"
QHID = "urn:oid:1.2.156.999"

[policies]
"PV1-2" = "reject"
"DG1-6" = "keep"
"AL1-2" = "queue"

[tables.encounter_class]
H9 = ["HH", "home health"]

[tables.gender]
X1 = ["female"]
"""


def mapped(*segments: str, site: str = SITE, kind: str = "ADT^A01", facility: str = "QH") -> Mapped:
    adapter = ADAPTER.configured([("site.toml", site)]) if site else ADAPTER
    header = f"MSH|^~\\&|HIS|{facility}|||20240101080000||{kind}|1|P|2.4"
    (parsed,) = adapter.parse("\r".join([header, *segments]).encode(), "")
    return adapter.map(parsed.record)


def one(result: Mapped, type: str) -> Resource:
    (found,) = (item.resource for item in result.items if item.resource["resourceType"] == type)
    return found


PID = "PID|||7^^^^PatientNO||某人|||X1"
PV1 = "PV1||H9||||||||||||||||||||V1"


def test_the_adapter_can_be_configured() -> None:
    assert isinstance(ADAPTER, Configurable)


def test_a_sites_own_event_is_read_as_the_one_it_names() -> None:
    assert mapped(PID, kind="ADT^ZP1", site="").failed
    assert not mapped(PID, kind="ADT^ZP1").failed


def test_table_rows_zone_and_systems_of_a_site() -> None:
    result = mapped(
        "PID|||7^^^QHID^PatientNO||某人||19800101083000|X1", "PV1||H9|||||||||||||||||V1", "DG1|||J18^肺炎^99ICD"
    )
    patient = one(result, "Patient")
    assert patient["gender"] == "female"
    assert patient["identifier"][0]["system"] == "urn:oid:1.2.156.999"
    assert patient["_birthDate"]["extension"][0]["valueDateTime"] == "1980-01-01T08:30:00+09:00"
    assert one(result, "Encounter")["class"]["code"] == "HH"
    assert one(result, "Condition")["code"]["coding"][0]["system"] == "http://hl7.org/fhir/sid/icd-10"


def test_a_z_segment_is_read_as_a_standard_one_and_traced_under_its_own_name() -> None:
    result = mapped(PID, "ZDG|||J18^肺炎^99ICD")
    assert one(result, "Condition")["code"]["text"] == "肺炎"
    assert [trace.field for trace in result.trace if trace.element == "Condition.code"] == ["ZDG-3"]


def test_a_moved_field_lands_and_is_traced_where_it_stands() -> None:
    result = mapped(PID, "ZPD|1||M^已婚")
    assert one(result, "Patient")["maritalStatus"]["text"] == "已婚"
    (trace,) = [trace for trace in result.trace if trace.element == "Patient.maritalStatus"]
    assert (trace.field, trace.line) == ("ZPD-3", 3)
    assert result.leaves is not None
    assert not any(place.startswith("ZPD-3") for place, _, _ in result.leaves.listed)


@pytest.mark.parametrize(
    ("segment", "severity", "code"),
    [
        ("PV1||Q||||||||||||||||||V1", "error", "code-invalid"),
        ("DG1|||J18^肺炎^I10|||Q", "information", "code-invalid"),
        ("AL1||Q|A^青霉素", "warning", "review"),
        ("AL1|||A^青霉素|Q", "warning", "code-invalid"),
    ],
)
def test_an_unknown_code_gets_what_the_fields_policy_says(segment: str, severity: str, code: str) -> None:
    problems = [p for p in mapped("PID|||7^^^^PatientNO", segment).problems if "is not a known" in p.text]
    assert [(problem.severity, problem.code) for problem in problems] == [(severity, code)]


def test_other_sites_do_not_notice() -> None:
    result = mapped(PID, facility="ELSEWHERE")
    assert "gender" not in one(result, "Patient")
    assert mapped(PID, kind="ADT^ZP1", facility="ELSEWHERE").failed


@pytest.mark.parametrize(
    ("old", "new", "line", "text"),
    [
        ('zone = "+09:00"', 'zone = "Asia"', 4, "Asia is no zone"),
        ('"ADT^ZP1" = "ADT^A08"', '"ADT^ZP1" = "ADT^B08"', 7, "expected an event of tables/events.csv"),
        ('ZDG = "DG1"', 'ZDG = "diagnosis"', 10, "segment names"),
        ('"ZPD-3" = "PID-16"', '"ZPD3" = "PID-16"', 13, "fields"),
        ('QHID = "urn:oid:1.2.156.999"', 'QHID = "1.2.156.999"', 17, "a URI"),
        ('"PV1-2" = "reject"', '"PV1-2" = "refuse"', 20, "keep"),
        ('H9 = ["HH", "home health"]', 'H9 = ["HH", "home health", "x"]', 25, "a list of up to 2 texts"),
        ("[tables.encounter_class]", "[tables.encounter_klass]", 24, "there is no table encounter_klass"),
        ('name = "somewhere"', 'nam = "somewhere"', 1, "nam is not known here"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_expected(old: str, new: str, line: int, text: str) -> None:
    assert SITE.count(old) == 1
    with pytest.raises(ValueError, match=r"site\.toml") as error:
        ADAPTER.configured([("site.toml", SITE.replace(old, new))])
    assert str(error.value).startswith(f"site.toml, line {line}: ")
    assert text in str(error.value)


def test_what_is_no_toml_is_told_with_its_line() -> None:
    with pytest.raises(ValueError, match=r"site\.toml: .*line 2"):
        ADAPTER.configured([("site.toml", 'application = "HIS"\nzone = \n')])


def test_a_site_that_fits_every_sender_is_refused() -> None:
    with pytest.raises(ValueError, match="application"):
        ADAPTER.configured([("site.toml", 'zone = "+09:00"\n')])


def test_the_command_takes_a_site_file_and_counts_the_components(tmp_path: Path) -> None:
    message, site = tmp_path / "a.hl7", tmp_path / "site.toml"
    message.write_bytes("\r".join(["MSH|^~\\&|HIS|QH|||20240101||ADT^ZP1|1|P|2.4", PID, "ZYB|1|x"]).encode())
    site.write_text(SITE, "utf-8")
    command = [sys.executable, "-m", "server", "convert", str(message), "--site", str(site), "--explain"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    assert json.loads(done.stdout)["type"] == "transaction"
    said = done.stderr.decode()
    assert "components: 14 present, 11 mapped (78.6 %), 3 listed" in said
    assert "listed: line 3, ZYB-2: no rule maps it" in said
    site.write_text(SITE.replace("ADT^A08", "nothing"), "utf-8")
    failed = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert failed.returncode == 1
    assert b"site.toml, line 7" in failed.stderr


def test_the_lineage_of_each_resource_stands_in_the_provenance() -> None:
    content = f"MSH|^~\\&|HIS|QH|||20240101||ADT^A01|1|P|2.4\r{PID.replace('X1', '1')}\rDG1|||J18^肺炎^I10"
    (conversion,) = convert(content.encode(), "", ADAPTER, "2024-05-12T02:00:00Z")
    assert conversion.mapped is not None
    provenance = conversion.transaction["entry"][-1]["resource"]
    rows = {t["reference"]: t["extension"][0]["valueString"] for t in provenance["target"]}
    keys = {item.resource["resourceType"]: f"urn:uuid:{id_of(item.key)}" for item in conversion.mapped.items}
    assert "gender=PID-8@2" in rows[keys["Patient"]].split("; ")
    assert "code=DG1-3@3" in rows[keys["Condition"]].split("; ")


def test_what_a_message_says_of_itself_stands_with_the_raw_message() -> None:
    event = "EVN|A01|20240101075900||01|D1^某^人|20240101070000"
    content = f"MSH|^~\\&|HIS|QH|||20240101080000||ADT^A01|M77|P|2.4\r{event}\r{PID}"
    (conversion,) = convert(content.encode(), "", ADAPTER, "2024-05-12T02:00:00Z")
    document = conversion.transaction["entry"][1]["resource"]
    provenance = conversion.transaction["entry"][-1]["resource"]
    assert (document["masterIdentifier"]["value"], document["date"]) == ("M77", "2024-01-01T08:00:00+08:00")
    assert document["content"][0]["format"]["code"] == "2.4"
    assert provenance["occurredDateTime"] == "2024-01-01T07:00:00+08:00"
    assert provenance["agent"][1]["who"] == {"display": "某人"}
