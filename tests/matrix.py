"""The conformance matrix: rows are contract points, columns are clouds. In: results of the driver suite. Out: a table.

A test that meets what its cloud lacks raises ``Lacking``; if the test's class names that in ``lacks``, the test has
passed, and the cell says what is lacking. Each run prints its part. With MCISD_MATRIX=FILE the results are also kept in
that file, so that runs that follow each other make one table: ``python -m tests.matrix FILE`` prints it.
"""

import json
import os
import sys
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import pytest

Cell = tuple[str, str, str]
"""Row, column, and "passes", "FAILS" or "lacks …"; with an empty row: what stood behind the column."""
KEY = "conformance"


class Lacking(Exception):  # noqa: N818 - not an error: the cloud does not have it
    """The cloud under test does not have this (a capability of drivers/base.py, or a kind of trouble)."""


def place(item: pytest.Item) -> tuple[str, str] | None:
    """Row and column of a test; None if it is not of a driver's suite."""
    column = getattr(getattr(item, "cls", None), "column", "")
    function = getattr(item, "originalname", None) or item.name
    return (function.removeprefix("test_").replace("_", " "), column) if column else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    where = place(item)
    outcome = "passes"
    try:
        yield
    except Lacking as lacking:
        what = str(lacking)
        known: dict[str, str] = getattr(getattr(item, "cls", None), "lacks", {})
        if what not in known:
            raise AssertionError(
                f"this driver lacks {what}, and its test class does not say so in `lacks`"
            ) from lacking
        outcome = f"lacks {what}"
    if where is not None:
        item.user_properties.append((KEY, json.dumps([*where, outcome])))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    cells = list(dict.fromkeys(collected(terminalreporter.stats)))
    if not cells:
        return
    if path := os.environ.get("MCISD_MATRIX"):
        with Path(path).open("a") as file:
            file.writelines(json.dumps(cell) + "\n" for cell in cells)
    terminalreporter.write_sep("-", "conformance of drivers")
    for line in table(cells):
        terminalreporter.write_line(line)


def collected(stats: dict[str, list[object]]) -> Iterator[Cell]:
    """The cells of one run; a failed test is one whose report has no note of its end."""
    for kind in ("passed", "failed", "error"):
        for report in stats.get(kind, []):
            if isinstance(report, pytest.TestReport) and (kind != "passed" or report.when == "call"):
                for name, value in report.user_properties:
                    if name == KEY:
                        row, column, outcome = json.loads(str(value))
                        yield row, column, outcome if kind == "passed" else "FAILS"
                    elif name == f"{KEY}-behind":
                        yield "", *json.loads(str(value))
                    elif name == f"{KEY}-begun" and kind != "passed":
                        row, column = json.loads(str(value))
                        yield row, column, "FAILS"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    where = place(item)
    if where is not None:
        item.user_properties.append((f"{KEY}-begun", json.dumps(where)))
        behind = getattr(getattr(item, "cls", None), "behind", "")
        item.user_properties.append((f"{KEY}-behind", json.dumps([where[1], behind])))


def table(cells: Iterable[Cell]) -> list[str]:
    """Lines of a Markdown table, then what stood behind its columns; of several results for a cell the worst counts."""
    cells = list(dict.fromkeys(cells))
    rank = {"FAILS": 0, "passes": 2}
    worst: dict[tuple[str, str], str] = {}
    for row, column, outcome in (cell for cell in cells if cell[0]):
        known = worst.get((row, column))
        if known is None or rank.get(outcome, 1) < rank.get(known, 1):
            worst[row, column] = outcome
    columns = list(dict.fromkeys(column for _, column in worst))
    rows = list(dict.fromkeys(row for row, _ in worst))
    lines = ["| contract point | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    lines += [f"| {row} | " + " | ".join(worst.get((row, column), "–") for column in columns) + " |" for row in rows]
    return [*lines, "", *(f"{column}: {behind}" for row, column, behind in cells if not row and behind)]


def main(path: str) -> int:
    """Print the table of a file; 1 if a cell fails or is missing."""
    cells = [tuple(json.loads(line)) for line in Path(path).read_text().splitlines()]
    lines = table(cells)
    print("\n".join(lines))
    return int(any("FAILS" in line or "| – |" in line for line in lines if line.startswith("|")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
