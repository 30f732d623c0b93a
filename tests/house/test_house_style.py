"""House rules about files and code that no linter knows."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from server import errors
from server.errors import TiercareError
from server.model.outcome import STATUS

ROOT = Path(__file__).parents[2]
PACKAGES = ("server", "adapters", "profiles", "tools")
FOLDERS = (*PACKAGES, "tests", "docs", "requirements", "bench", ".ci")
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "manager", "managers", "misc", "tools_", "shared"}
LONGEST_FUNCTION = 80
LONGEST_MODULE = 500


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def ours(folder: str) -> Iterator[Path]:
    """Files and folders that are not somebody else's."""
    return (path for path in (ROOT / folder).rglob("*") if not set(path.parts) & {"node_modules", "__pycache__"})


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    vague = [relative(path) for folder in FOLDERS for path in ours(folder) if path.stem.lower() in VAGUE]
    assert vague == []


def test_every_module_says_in_its_first_line_what_belongs_there() -> None:
    silent = []
    for path in modules(*PACKAGES, "tests", "bench"):
        tree = ast.parse(path.read_text())
        first = (ast.get_docstring(tree) or "").split("\n")[0]
        if tree.body and len(first) < 15:
            silent.append(relative(path))
    assert silent == []


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{relative(path)}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for path in modules(*PACKAGES, "tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= LONGEST_FUNCTION
    ]
    assert long == []


def test_no_module_of_the_packages_is_longer_than_one_sitting() -> None:
    long = [relative(path) for path in modules(*PACKAGES) if len(path.read_text().splitlines()) > LONGEST_MODULE]
    assert long == []


def test_no_two_test_files_have_one_name() -> None:
    names = [path.name for path in modules("tests") if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


def test_no_folder_of_tests_is_named_like_a_package_or_has_an_init() -> None:
    folders = [path for path in ours("tests") if path.is_dir()]
    assert not {path.name for path in folders} & {"server", "adapters", "profiles", "tests", "http", "types"}
    assert not [path for path in ours("tests") if path.name == "__init__.py"]


def test_no_test_is_skipped_without_a_condition_or_marked_to_fail() -> None:
    marked = [
        relative(path)
        for path in modules("tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("pytest.mark.skip", "pytest.mark.xfail")
    ]
    assert marked == []


def subclasses(of: type[TiercareError]) -> Iterator[type[TiercareError]]:
    for one in of.__subclasses__():
        yield one
        yield from subclasses(one)


def test_every_error_of_the_tree_has_a_status() -> None:
    tree = {one for one in subclasses(TiercareError) if one.__module__ == errors.__name__}
    assert tree == set(STATUS)


def test_the_tree_drawn_in_the_docstring_is_the_tree() -> None:
    drawn = {
        line.split("── ")[1].split()[0]: int(line.split()[-1])
        for line in (errors.__doc__ or "").splitlines()
        if "── " in line
    }
    assert drawn == {error.__name__: status for error, status in STATUS.items()}


@pytest.mark.parametrize("folder", ["server", "adapters"])
def test_a_package_root_imports_nothing(folder: str) -> None:
    assert not any(
        isinstance(node, ast.Import | ast.ImportFrom)
        for node in ast.walk(ast.parse((ROOT / folder / "__init__.py").read_text()))
    )
