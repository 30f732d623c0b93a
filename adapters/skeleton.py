"""The skeleton of a stranger's adapter: a package that is found by entry point, converts, and passes its own test."""

import importlib.util
from pathlib import Path

from adapters.golden import RECORDED
from adapters.runner import convert
from adapters.wire import to_json


class AlreadyThere(Exception):
    """The folder exists; nothing is written over."""


class NotAName(Exception):
    """The name is no Python name in lower case."""


def write(name: str, into: Path) -> Path:
    """Writes `<into>/<name>/` and returns it. Raises NotAName, AlreadyThere."""
    if not (name.isidentifier() and name == name.lower() and not name.startswith("_")):
        raise NotAName(f"{name} is no Python name in lower case, such as lab_rows")
    folder = into / name
    if folder.exists():
        raise AlreadyThere(f"{folder} is there already; nothing was written")
    for path, text in FILES.items():
        target = folder / path.replace("NAME", name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace("NAME", name), "utf-8")
    case = folder / "cases" / "first"
    content = (case / "input.csv").read_bytes()
    spec = importlib.util.spec_from_file_location(name, folder / name / "__init__.py")
    assert spec is not None and spec.loader is not None  # a .py file has both
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    bundles = [one.transaction for one in convert(content, "input.csv", module.ADAPTER, RECORDED)]
    (case / "expected.json").write_text(to_json(bundles, indent=2).decode() + "\n", "utf-8")
    return folder


FILES = {
    "pyproject.toml": """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "NAME"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["tiercare"]

[project.entry-points."tiercare.adapters"]
NAME = "NAME:ADAPTER"

[tool.hatch.build.targets.wheel]
packages = ["NAME"]
""",
    "README.md": """# NAME

An adapter for tiercare. `tiercare adapter test cases` compares what comes out with what is expected;
`tiercare adapter test cases --write` accepts what comes out now.
""",
    "cases/first/input.csv": "NAME_id,name,sex\n1,周晓岚,2\n",
    "tests/test_NAME.py": '''"""The adapter's golden cases."""

from pathlib import Path

import pytest
from adapters.golden import cases, run

CASES = list(cases(Path(__file__).parents[1] / "cases"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
def test_the_conversion_is_as_expected(case) -> None:
    outcome = run(case, "NAME")
    assert outcome.good, "\\n".join([outcome.trouble, *outcome.difference])
''',
    "NAME/__init__.py": '''"""The adapter NAME: rows of a CSV become Patients. Change it to your format."""

import csv
import io

from adapters.contract import Mapped, Parsed, Problem
from adapters.kit import charset, people
from adapters.kit.resource import Made
from adapters.kit.transaction import transaction

SYSTEM = "urn:tiercare:source:NAME:patient"


class Adapter:
    """adapters.contract.Adapter."""

    name, version, title = "NAME", "1", "NAME"

    def recognises(self, content: bytes, name: str) -> bool:
        return content.removeprefix(b"\\xef\\xbb\\xbf").startswith(b"NAME_id,")

    def parse(self, content: bytes, name: str) -> list[Parsed]:
        """One Parsed a row, each with its own bytes. Never raises: what cannot be read is a Parsed with a problem."""
        text = charset.decode(content).text
        rows = list(csv.reader(io.StringIO(text)))
        found = []
        for line, row in enumerate(rows[1:], 2):
            raw = ",".join(rows[0]) + "\\n" + ",".join(row)
            record = dict(zip(rows[0], row, strict=False))
            found.append(Parsed(raw.encode(), "text/csv;charset=utf-8", {**record, "line": line}, line=line))
        return found or [Parsed(content, "text/csv", None, [Problem("fatal", "required", "the table has no row")])]

    def map(self, record: dict) -> Mapped:
        """The resources of a row. Never raises: what is wrong becomes a Problem."""
        mapped = Mapped(kind="NAME row", source="NAME")
        number, line = record.get("NAME_id", ""), record["line"]
        if not number:
            mapped.problems.append(Problem("error", "required", "the row has no number", "NAME_id", line))
            return mapped
        patient = Made(mapped, "Patient", f"NAME|patient|{number}", "refreshed")
        patient.add("identifier", {"system": SYSTEM, "value": number}, "NAME_id", line)
        patient.add("name", people.name(record.get("name", "")), "name", line)
        patient.put("gender", people.gender(record.get("sex", "")), "sex", line)
        mapped.subject = patient.key
        return mapped

    def bundle(self, parsed, mapped, problems, recorded):
        return transaction(self.name, self.version, parsed, mapped, problems, recorded)


ADAPTER = Adapter()
''',
}
