"""Tables for people, JSON for programs. In: what the API answered. Out: lines on standard output.

Colour only on a terminal, and never with NO_COLOR set. Cut off the terminal, a table is as wide as its content.
"""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_COLOURS = {
    "Running": "green", "up": "green", "succeeded": "green", "Ready": "green", "sent": "green", "ok": "green",
    "acted": "green", "Suspended": "yellow", "Terminated": "dim", "pending": "yellow", "silent": "yellow",
    "partial": "yellow", "skipped": "yellow", "warning": "yellow", "Failed": "red", "failed": "red", "firing": "red",
    "dead": "red", "critical": "red", "Undefined": "red", "running": "cyan",
}  # fmt: skip
_WIDE = 10_000


def console(*, error: bool = False) -> "Console":
    """A console for this output: the terminal's width, or as wide as needed where there is no terminal."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else _WIDE, highlight=False, soft_wrap=False)


def print_json(document: object) -> None:
    """One document, readable."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def print_line(document: object) -> None:
    """One document in one line: for streams."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table, or the sentence ``empty`` where there is no row. A column with ``>`` before its name is set right."""
    listed = list(rows)
    if listed:
        console().print(table(columns, listed))
    else:
        sys.stdout.write(empty + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        right = column.startswith(">")
        made.add_column(column.removeprefix(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    return made


def _cell(value: object) -> Any:
    from rich.text import Text

    text = printable("-" if value is None or value == "" else str(value))
    return Text(text, style=_COLOURS.get(text, ""))


def printable(text: str) -> str:
    """Text from elsewhere without what could move the cursor of a terminal."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)


def moment(epoch: float | None) -> str:
    """A time of day as people near the terminal read it; the date with it unless it is today."""
    if not epoch:
        return "-"
    then, now = time.localtime(epoch), time.localtime()
    return time.strftime("%H:%M:%S" if then[:3] == now[:3] else "%Y-%m-%d %H:%M:%S", then)


def number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def rate(value: float | None) -> str:
    """Bytes per second in three digits or fewer."""
    if value is None:
        return "-"
    for unit in ("B/s", "kB/s", "MB/s"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB/s"
