"""`tiercare adapter test|new|guess` and `poll`, as a user runs them."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.adapter_commands import adapter
from tests import servers

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "feeds" / "cases" / "golden"
RUN = CliRunner()


def case(folder: Path, expected: str | None = None) -> Path:
    source = GOLDEN / "regional_json" / "referral_form"
    folder.mkdir(parents=True)
    (folder / "input.json").write_bytes((source / "input.json").read_bytes())
    text = (source / "expected.json").read_text("utf-8") if expected is None else expected
    (folder / "expected.json").write_text(text, "utf-8")
    return folder


def test_cases_as_expected_are_told_and_the_exit_code_is_0(tmp_path: Path) -> None:
    case(tmp_path / "one")
    done = RUN.invoke(adapter, ["test", str(tmp_path)])
    assert done.exit_code == 0 and "1 cases, 0 not as expected" in done.output


def test_a_difference_is_shown_line_by_line_and_the_exit_code_is_1(tmp_path: Path) -> None:
    text = (GOLDEN / "regional_json" / "referral_form" / "expected.json").read_text("utf-8")
    case(tmp_path / "one", text.replace('"顾长庚"', '"顾短庚"', 1))
    done = RUN.invoke(adapter, ["test", str(tmp_path)])
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert any(line.startswith("-") and "顾短庚" in line for line in lines)
    assert any(line.startswith("+") and "顾长庚" in line for line in lines)


def test_write_accepts_what_comes_out(tmp_path: Path) -> None:
    case(tmp_path / "one", "[]")
    assert RUN.invoke(adapter, ["test", str(tmp_path), "--write"]).exit_code == 0
    assert RUN.invoke(adapter, ["test", str(tmp_path)]).exit_code == 0


def test_a_folder_without_cases_is_a_plain_error(tmp_path: Path) -> None:
    assert RUN.invoke(adapter, ["test", str(tmp_path)]).exit_code == 1


def test_a_new_adapter_passes_its_own_test_in_a_process_of_its_own(tmp_path: Path) -> None:
    assert RUN.invoke(adapter, ["new", "lab_rows", "--into", str(tmp_path)]).exit_code == 0
    folder = tmp_path / "lab_rows"
    installed = folder / "lab_rows-0.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-rows\nVersion: 0.1\n")
    (installed / "entry_points.txt").write_text("[tiercare.adapters]\nlab_rows = lab_rows:ADAPTER\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("name", ["Lab", "1x", "a-b", "_x"])
def test_a_name_that_python_does_not_take_is_refused(name: str, tmp_path: Path) -> None:
    assert RUN.invoke(adapter, ["new", name, "--into", str(tmp_path)]).exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_new_writes_nothing_over(tmp_path: Path) -> None:
    (tmp_path / "lab_rows").mkdir()
    assert RUN.invoke(adapter, ["new", "lab_rows", "--into", str(tmp_path)]).exit_code == 1


def test_guess_proposes_lines_for_the_table(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("住院号,c1,HZ_XINGMING\nZ1,13800000001,周晓岚\n", "utf-8")
    done = RUN.invoke(adapter, ["guess", str(tmp_path / "x.csv")])
    assert done.exit_code == 0
    assert "c1,c1,patient.phone" in done.output and "HZ_XINGMING,HZ_XINGMING,patient.name" in done.output


def test_guess_reads_workbooks(tmp_path: Path) -> None:
    source = GOLDEN / "his_tables" / "workbook" / "input.xlsx"
    done = RUN.invoke(adapter, ["guess", str(source)])
    assert done.exit_code == 0 and "diagnosis.main.code" in done.output


def test_guess_of_no_table_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "x.xlsx").write_bytes(b"PK\x03\x04no")
    assert RUN.invoke(adapter, ["guess", str(tmp_path / "x.xlsx")]).exit_code == 1


def test_poll_sends_rows_to_a_server(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "his.db") as database:
        database.execute("CREATE TABLE v (zyh, bah, xm, yljgdm, ryrq, changed INTEGER)")
        database.execute("INSERT INTO v VALUES ('Z1', 'B1', '周晓岚', 'H1', '2026-01-05', 1)")
    database.close()
    (tmp_path / "query.sql").write_text("SELECT * FROM v WHERE changed >= :bookmark ORDER BY changed")
    with servers.tiercare(tmp_path / "fhir") as fhir:
        code = "import typer; from adapters.adapter_commands import poll; typer.run(poll)"
        command = [
            sys.executable, "-c", code, "--database", f"sqlite:///{tmp_path}/his.db",
            "--query", str(tmp_path / "query.sql"), "--column", "changed",
            "--bookmark", str(tmp_path / "bookmark.json"), "--send", fhir.base,
        ]  # fmt: skip
        for sent in ("1 rows sent", "0 rows sent"):
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0 and sent in done.stdout, done.stderr
