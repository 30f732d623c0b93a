"""What is delivered: light at start, a whole wheel, pinned requirements, nothing of the machine it was made on."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"fastapi", "httpx", "lxml", "pymongo", "mongomotor", "mongoengine", "fhirpathpy", "pydantic", "fhir"}

START = """
import asyncio, json, sys
from server.settings import Settings
from server.wiring import build_app

async def ask(app, method, path, body=b""):
    sent, scope = [], {
        "type": "http", "method": method, "path": path, "query_string": b"",
        "headers": [(b"content-type", b"application/fhir+json")],
    }
    async def receive():
        return {"type": "http.request", "body": body}
    async def send(message):
        sent.append(message)
    await app(scope, receive, send)
    return sent[0]["status"]

async def main():
    app, inbox, outbox = build_app(Settings({}, data=sys.argv[1])), asyncio.Queue(), asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan"}, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    assert await ask(app, "POST", "/fhir/Patient", b'{"resourceType":"Patient"}') == 201
    assert await ask(app, "GET", "/fhir/Patient") == 200
    assert await ask(app, "POST", "/fhir/Patient", b'{"a":1}') == 400
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
    await inbox.put({"type": "lifespan.shutdown"})
    await life

asyncio.run(main())
"""


def test_start_and_first_requests_load_nothing_heavy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=True, timeout=60
    )
    assert set(json.loads(done.stdout)) & HEAVY == set()


# ---------------------------------------------------------------------------------------------------------- wheel
@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built as pip builds it, without its network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", build], capture_output=True, text=True, cwd=ROOT, check=True, timeout=120
    )
    return zipfile.ZipFile(folder / done.stdout.split()[-1])


def packaged(wheel: zipfile.ZipFile) -> set[str]:
    return {name for name in wheel.namelist() if ".dist-info/" not in name}


def test_the_top_level_of_the_wheel_is_the_three_packages(wheel: zipfile.ZipFile) -> None:
    assert {name.partition("/")[0] for name in packaged(wheel)} == {"server", "adapters", "profiles"}


def test_the_wheel_holds_every_file_of_the_packages(wheel: zipfile.ZipFile) -> None:
    wanted = {
        str(path.relative_to(ROOT))
        for package in ("server", "adapters", "profiles")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".pyo")
    }
    assert packaged(wheel) == wanted
    assert {"profiles/r4/structures.json", "profiles/r4/searchparameters.json"} <= wanted


def test_the_wheel_has_the_command_and_the_entry_points(wheel: zipfile.ZipFile) -> None:
    name = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    points = ConfigParser(delimiters=("=",))
    points.optionxform = str  # type: ignore[assignment,method-assign]
    points.read_string(wheel.read(name).decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert dict(points["console_scripts"]) == project["scripts"] == {"tiercare": "server.cli:main"}
    assert {group: dict(points[group]) for group in project["entry-points"]} == project["entry-points"]
    assert {"sqlite", "mongodb"} <= set(points["tiercare.stores"])
    for group in ("tiercare.stores", "tiercare.adapters", "tiercare.commands"):
        for target in points[group].values():
            assert f"{target.partition(':')[0].replace('.', '/')}" in {
                file.removesuffix(".py").removesuffix("/__init__") for file in packaged(wheel)
            }


# --------------------------------------------------------------------------------------------------- requirements
PINS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.name)
def test_requirements_are_pinned_with_hashes_and_name_no_index(path: Path) -> None:
    lines = [line.split("#")[0].strip() for line in path.read_text().replace("\\\n", " ").splitlines()]
    rows = [line for line in lines if line]
    assert rows
    for line in rows:
        assert re.fullmatch(
            r"[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==\S+( ; .*?)?(\s+--hash=sha256:[0-9a-f]{64})+", line
        ), line


def test_what_runs_is_pinned_alike_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for path in PINS:
        for name, version in re.findall(r"^([a-z0-9._-]+)==([^\s\\]+)", path.read_text(), re.MULTILINE):
            pins.setdefault(name, set()).add(version)
    assert {name: versions for name, versions in pins.items() if len(versions) > 1} == {}


# --------------------------------------------------------------------------------------------- nothing of the machine
LEFT_OUT = {".git", ".venv", "node_modules", "__pycache__", "data", "build", "dist", ".hypothesis", ".mypy_cache"}
LEFT_OUT |= {".pytest_cache", ".ruff_cache", ".import_linter_cache"}
# in parts, so that this file does not hold what it looks for
_PARTS = (
    ("/wo", "rk/"), ("py", "pi.org"), ("python", "hosted"), ("npm", "js.org"), ("npm", "mirror"),
    ("mirrors.ali", "yun"),
    ("tuna.tsing", "hua"), ("repo.ma", "ven"), ("--index", "-url"), ("registry=", "http"),
)  # fmt: skip
FOREIGN = re.compile("|".join(re.escape("".join(parts)) for parts in _PARTS))


def test_nothing_names_a_registry_or_a_folder_of_the_machine() -> None:
    found = []
    for path in sorted(ROOT.rglob("*")):
        parts = set(path.relative_to(ROOT).parts)
        if parts & LEFT_OUT or not path.is_file() or any(part.endswith(".egg-info") for part in parts):
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {match}" for match in FOREIGN.findall(text)]
    assert found == []
