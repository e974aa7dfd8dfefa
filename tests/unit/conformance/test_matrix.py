"""The conformance matrix: cells of passed, failed and lacking tests, and the merging of runs."""

import json
from pathlib import Path

import pytest

from tests.matrix import main, table

pytest_plugins = ["pytester"]
CASES = """
import pytest
from tests.matrix import Lacking

class TestCloud:
    column = "paper"
    behind = "a book"
    lacks = {"Console": "paper says nothing"}

    def test_that_it_works(self):
        pass

    def test_a_failure(self):
        assert False

    def test_console_output(self):
        raise Lacking("Console")

    def test_undeclared_gap(self):
        raise Lacking("Quota")

    @pytest.mark.parametrize("n", [1, 2])
    def test_in_two_parts(self, n):
        assert n == 1

    @pytest.fixture
    def broken(self):
        raise OSError("no cloud")

    def test_without_its_bench(self, broken):
        pass

    @pytest.fixture
    def unclean(self):
        yield
        raise OSError("a VM is left")

    def test_that_leaves_something(self, unclean):
        pass

def test_of_no_driver():
    pass
"""
EXPECTED = {
    "that it works": "passes",
    "a failure": "FAILS",
    "console output": "lacks Console",
    "undeclared gap": "FAILS",
    "in two parts": "FAILS",
    "without its bench": "FAILS",
    "that leaves something": "FAILS",
}


@pytest.mark.parametrize("options", [[], ["-n", "2"]])
def test_each_cell_tells_what_became_of_its_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    root = Path(__file__).parents[3]
    file = pytester.path / "matrix.jsonl"
    monkeypatch.setenv("MCISD_MATRIX", str(file))
    monkeypatch.setenv("PYTHONPATH", str(root))
    pytester.makepyfile(CASES)
    result = pytester.runpytest_subprocess("-p", "tests.matrix", "-p", "no:cacheprovider", *options)
    rows = {}
    for line in result.outlines:
        if line.startswith("| "):
            row, cell = line.strip("| ").split(" | ")
            rows[row] = cell
    assert rows.pop("contract point") == "paper"
    assert rows == EXPECTED
    kept = [tuple(json.loads(line)) for line in file.read_text().splitlines()]
    assert ("", "paper", "a book") in kept
    assert {(row, column) for row, column, _ in kept if row} == {(row, "paper") for row in EXPECTED}
    result.stdout.fnmatch_lines(["paper: a book"])
    result.stdout.fnmatch_lines(["*this driver lacks Quota, and its test class does not say so in `lacks`*"])


def test_the_worst_of_a_cell_counts() -> None:
    assert table([("r", "c", "passes"), ("r", "c", "lacks X"), ("r", "c", "passes")])[2:3] == ["| r | lacks X |"]
    assert table([("r", "c", "FAILS"), ("r", "c", "lacks X")])[2:3] == ["| r | FAILS |"]


def test_runs_make_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cells"
    cells = [
        ("", "AWS", "an emulator"),
        ("terminate", "AWS", "passes"),
        ("crash", "AWS", "lacks Crash"),
        ("terminate", "GCP", "passes"),
    ]
    file.write_text("".join(json.dumps(cell) + "\n" for cell in cells))
    assert main(str(file)) == 1, "a cell is missing"
    assert capsys.readouterr().out.splitlines() == [
        "| contract point | AWS | GCP |",
        "|---|---|---|",
        "| terminate | passes | passes |",
        "| crash | lacks Crash | – |",
        "",
        "AWS: an emulator",
    ]
    with file.open("a") as more:
        more.write(json.dumps(("crash", "GCP", "lacks Crash")) + "\n")
    assert main(str(file)) == 0
    with file.open("a") as more:
        more.write(json.dumps(("crash", "GCP", "FAILS")) + "\n")
    assert main(str(file)) == 1
