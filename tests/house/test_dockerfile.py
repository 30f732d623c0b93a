"""The Dockerfile against the project: what it copies is there, and what it installs from that is whole.

No image is built here: the installation is done as the Dockerfile does it, in a folder.
"""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from tests.house import dockerfile
from tests.house.dockerfile import ROOT

READ = dockerfile.instructions()
COPIES = dockerfile.copies(READ)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def _let_through(path: str) -> bool:
    """Whether .dockerignore lets a path through to the builder: the last pattern that fits it or a folder of it counts.

    Only patterns without wildcards, `*` and `**/name` are understood.
    """
    kept = True
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.strip().removeprefix("!").rstrip("/")
        if not pattern or pattern.startswith("#"):
            continue
        parts = PurePosixPath(path).parts
        if pattern.startswith("**/"):
            fits = pattern[3:] in parts
        else:
            assert "*" not in pattern or pattern == "*", f".dockerignore: {pattern}"
            fits = pattern == "*" or path == pattern or path.startswith(pattern + "/")
        if fits:
            kept = line.strip().startswith("!")
    return kept


def test_every_file_the_image_copies_exists_and_reaches_the_builder() -> None:
    sources = [source.rstrip("/") for copy in COPIES for source in copy.sources]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), f"COPY {source}: it is not in the checkout"
        assert _let_through(source), f"COPY {source}: .dockerignore keeps it back"
    for path in (".git/config", ".venv/bin/python", "data/page.key", "server/__pycache__/cli.cpython-311.pyc"):
        assert not _let_through(path), f"{path} would be sent to the builder"


def test_base_images_are_pinned_to_a_tag_and_a_python_the_project_runs_on() -> None:
    least = PROJECT["project"]["requires-python"].removeprefix(">=")
    for one in READ:
        if one.name == "FROM":
            name, _, tag = one.words[0].partition(":")
            assert name == "python" and tag.startswith(f"{least}-"), one.words[0]


def test_requirements_are_installed_with_hashes_and_the_project_without_any() -> None:
    installs = [" ".join(one.words) for one in READ if one.name == "RUN" and "pip install" in " ".join(one.words)]
    assert len(installs) == 2
    named = re.findall(r"-r (\S+)", installs[0])
    assert "--require-hashes" in installs[0] and named == ["requirements/run.txt", "requirements/mongo.txt"]
    assert set(named) <= {source for copy in COPIES for source in copy.sources}
    assert "--no-deps" in installs[1] and "--no-build-isolation" in installs[1]


def test_the_image_runs_without_rights_and_only_where_it_may_write() -> None:
    assert dockerfile.last(READ, "USER") == ["tiercare"]
    user = next(one for one in READ if one.name == "RUN" and one.words[0] == "useradd")
    assert "--system" in user.words and "/usr/sbin/nologin" in user.words
    assert dockerfile.last(READ, "VOLUME") == dockerfile.last(READ, "WORKDIR") == ["/data"]
    command = dockerfile.last(READ, "CMD")
    assert command[command.index("--data") + 1] == "/data"


def test_the_command_is_ours_and_listens_where_the_image_says() -> None:
    (entry,) = dockerfile.last(READ, "ENTRYPOINT")
    assert entry in PROJECT["project"]["scripts"]
    command = dockerfile.last(READ, "CMD")
    assert command[0] == "serve" and "--allow-open" in command
    (port,) = dockerfile.last(READ, "EXPOSE")
    assert command[command.index("--port") + 1] == port
    health = dockerfile.last(READ, "HEALTHCHECK")
    assert f"http://127.0.0.1:{port}/health" in " ".join(health)


def test_the_health_check_needs_nothing_but_python() -> None:
    words = " ".join(dockerfile.last(READ, "HEALTHCHECK"))
    assert 'CMD ["python", "/opt/tiercare/answers.py",' in words
    assert [copy.sources for copy in COPIES if copy.target == "/opt/tiercare/answers.py"] == [["deploy/answers.py"]]
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "deploy" / "answers.py")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "no address was given\n")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of the wheel that is built from what the Dockerfile copies, and from nothing else."""
    folder = tmp_path_factory.mktemp("image")
    built = folder / "wheel"
    for copy in COPIES:
        if copy.target.startswith("/"):
            continue
        for source in copy.sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, folder / copy.target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (folder / copy.target).mkdir(exist_ok=True)
                shutil.copy(ROOT / source, folder / copy.target)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_installed_project_has_all_its_code_tables_and_samples(wheel: set[str]) -> None:
    packages: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in packages
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wheel == ours
    assert any(Path(name).suffix == ".csv" for name in wheel) and "profiles/r4/structures.json" in wheel
