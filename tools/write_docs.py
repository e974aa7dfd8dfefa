"""Write the parts of docs/ that follow from the code: the table of operations and the table of settings.

In: the route tables and the settings' models. Out: what stands between ``begin NAME`` and ``end NAME`` comments in
docs/api.md and docs/configuration.md. ``--check`` writes nothing and exits with 1 where a page is out of date.
"""

import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mcisd.daemon.api.openapi import document
from mcisd.daemon.settings import Settings

DOCS = Path(__file__).resolve().parent.parent / "docs"


def operations() -> str:
    """One table per tag, one row per operation."""
    rows = [
        (operation["tags"][0], operation["operationId"], method.upper(), path, operation["summary"])
        for path, methods in document("").get("paths", {}).items()
        for method, operation in methods.items()
    ]
    parts = []
    for tag, group in groupby(sorted(rows, key=lambda row: row[0]), key=lambda row: row[0]):
        lines = [f"### {tag}", "", "| operation | request | what it does |", "|---|---|---|"]
        lines += [f"| {name} | `{method} {path}` | {summary} |" for _, name, method, path, summary in group]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def settings() -> str:
    """One row per setting: its name in the file, its variable, its default, its bounds."""
    lines = ["| setting | variable | default | bounds |", "|---|---|---|---|"]
    for section, name, field in _fields():
        default = field.get_default(call_default_factory=True)
        shown = (
            "empty" if default in ("", ()) else str(default).lower() if isinstance(default, bool) else f"`{default}`"
        )
        variable = f"MCISD_{section}_{name}".upper()
        lines.append(f"| `{section}.{name}` | `{variable}` | {shown} | {_bounds(field)} |")
    return "\n".join(lines)


def _fields() -> Iterator[tuple[str, str, FieldInfo]]:
    for section, outer in Settings.model_fields.items():
        model = outer.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            for name, field in model.model_fields.items():
                yield section, name, field


def _bounds(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "over", "le": "at most", "lt": "under", "pattern": "matches"}
    found = []
    for rule in field.metadata:
        for key, word in words.items():
            value = getattr(rule, key, None)
            if value is not None:
                text = f"`{value}`".replace("|", "\\|") if key == "pattern" else str(value)
                found.append(f"{word} {text}")
    return ", ".join(found)


PAGES = {"api.md": ("operations", operations), "configuration.md": ("settings", settings)}


def main(arguments: list[str]) -> int:
    stale = []
    for page, (name, make) in PAGES.items():
        path = DOCS / page
        before = path.read_text()
        block = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        found = block.search(before)
        if found is None:
            print(f"{path}: the block {name} is missing", file=sys.stderr)
            return 1
        after = f"{before[: found.start()]}{found[1]}\n{make()}\n\n{found[2]}{before[found.end() :]}"
        if after != before:
            stale.append(page)
            if "--check" not in arguments:
                path.write_text(after)
    if "--check" in arguments and stale:
        print(f"out of date: {', '.join(stale)}. Remedy: make docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
