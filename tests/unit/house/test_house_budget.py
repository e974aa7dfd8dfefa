"""The budgets of the house: small files, short functions, everything annotated, every module says what it is for."""

import ast
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = sorted((ROOT / "mcisd").rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in PACKAGE}
CODE = sorted(path for part in ("tests", "benchmarks") for path in (ROOT / part).rglob("*.py")) + PACKAGE
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> list[tuple[str, Function]]:
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, Function)
    ]


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_files_are_small() -> None:
    assert [str(path.relative_to(ROOT)) for path in PACKAGE if lines(path) > 400] == []
    assert statistics.median(lines(path) for path in PACKAGE) < 150


def test_functions_are_short() -> None:
    found = functions()
    long = [where for where, node in found if (node.end_lineno or 0) - node.lineno + 1 > 50]
    assert len(long) < 0.01 * len(found), long


def test_functions_are_annotated() -> None:
    bare = [
        where
        for where, node in functions()
        if node.returns is None
        or any(a.annotation is None for a in node.args.args + node.args.kwonlyargs if a.arg not in ("self", "cls"))
    ]
    assert bare == []


def test_modules_say_what_they_are_for() -> None:
    empty = [path for path, tree in TREES.items() if tree.body and ast.get_docstring(tree) is None]
    assert empty == []


@pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME", "X" + "XX", "NotImplemented" + "Error"])
def test_nothing_is_left_unfinished(word: str) -> None:
    assert [str(path.relative_to(ROOT)) for path in CODE if word in path.read_text()] == []


def test_silenced_checkers_say_why() -> None:
    """Each `type: ignore` names its error; each `noqa` names its rule and, after a dash, the reason."""
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in PACKAGE
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if ("# noqa" in line and "# noqa: " not in line) or ("type: ignore" in line and "type: ignore[" not in line)
    ]
    assert bare == []
