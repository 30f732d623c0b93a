"""The commands convert and feed: what stands on standard output, what on standard error, and the exit code."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

import adapters
from adapters import commands

SAMPLES = Path(adapters.__path__[0]) / "samples" / "regional"
UP = SAMPLES / "bsoft_up_referral.json"
ROWS = SAMPLES / "treatment_referral.gb18030.csv"
BAD = SAMPLES / "treatment_referral_without_receiver.csv"


def run(*arguments: object) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    for command in (commands.convert, commands.feed, commands.listen):
        app.command()(command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_convert_prints_the_transaction_and_nothing_else_on_standard_output() -> None:
    result = run("convert", UP)
    bundle = json.loads(result.stdout)
    assert (result.exit_code, bundle["resourceType"], bundle["type"]) == (0, "Bundle", "transaction")


def test_convert_prints_several_messages_as_an_array_of_bundles() -> None:
    result = run("convert", ROWS)
    assert [bundle["type"] for bundle in json.loads(result.stdout)] == ["transaction", "transaction"]
    assert "warning: line 4, kh: " in result.stderr


def test_convert_explains_where_elements_come_from_on_standard_error() -> None:
    result = run("convert", UP, "--explain")
    json.loads(result.stdout)
    assert "ServiceRequest.reasonCode[0]" in result.stderr and "turnReason" in result.stderr


def test_convert_of_a_message_at_fault_is_one_sentence_and_a_non_zero_exit() -> None:
    result = run("convert", BAD)
    assert result.exit_code == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.endswith("line 2, zxjgdm, zxjgmc: the referral does not name a receiving institution")
    kept = [entry["resource"]["resourceType"] for entry in json.loads(result.stdout)["entry"]]
    assert kept == ["Binary", "DocumentReference"]


def test_convert_of_a_file_that_is_not_there_is_one_plain_sentence(tmp_path: Path) -> None:
    result = run("convert", tmp_path / "nothing.json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"{tmp_path / 'nothing.json'}: there is no such file\n"


def test_convert_of_a_folder_is_one_plain_sentence(tmp_path: Path) -> None:
    result = run("convert", tmp_path)
    assert (result.exit_code, result.stderr) == (1, f"{tmp_path} is a folder, not a file\n")


def test_convert_of_a_content_no_adapter_knows_names_the_adapters(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\x00\x01\x02")
    result = run("convert", tmp_path / "x.bin")
    assert result.exit_code == 1 and "regional_json" in result.stderr


def test_convert_with_an_adapter_that_does_not_exist_is_one_plain_sentence() -> None:
    result = run("convert", UP, "--adapter", "dicom")
    assert result.exit_code == 1 and "there is no adapter dicom" in result.stderr


@pytest.mark.parametrize("command", [("convert", UP, "--send"), ("feed", UP, "--send")])
def test_a_server_that_is_not_there_is_a_sentence_and_a_non_zero_exit(command: tuple[object, ...]) -> None:
    result = run(*command, "http://127.0.0.1:9/fhir")
    assert result.exit_code == 1 and "cannot be reached" in result.output + result.stderr


def test_an_address_that_is_no_url_is_one_plain_sentence() -> None:
    result = run("feed", UP, "--send", "localhost:8080/fhir")
    assert result.exit_code == 1 and "begins with http://" in result.stderr


def test_listen_without_a_port_is_one_plain_sentence() -> None:
    result = run("listen", "--send", "http://127.0.0.1:9/fhir")
    assert result.exit_code == 1 and "--mllp PORT" in result.stderr


def test_listen_beyond_loopback_is_refused() -> None:
    result = run("listen", "--send", "http://127.0.0.1:9/fhir", "--mllp", 0, "--host", "0.0.0.0")
    assert result.exit_code == 1 and "authentication" in result.stderr
