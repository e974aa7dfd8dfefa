"""Docs and files agree: every path and every `file.py::name` that a page names is there, and tables are complete."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
PLACES = "mcisd|tests|benchmarks|deploy|docs|systemd|tools|constraints|examples"
NAMED = re.compile(rf"`((?:{PLACES})/[\w./-]*)(?:::([\w.]+))?`")
LINKS = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def names_of(path: Path) -> set[str]:
    """Functions and classes of a module, methods as ``Class.method``."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (item for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{node.name}.{item.name}" for item in inner}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    missing = [path for path, _ in NAMED.findall(text) if not (ROOT / path).exists()]
    assert missing == []
    unknown = [f"{path}::{name}" for path, name in NAMED.findall(text) if name and name not in names_of(ROOT / path)]
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in LINKS.findall(page.read_text()) if not (page.parent / link).exists()] == []


def test_every_queue_is_in_the_table() -> None:
    made = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "mcisd").rglob("*.py")
        if re.search(r"BoundedQueue\(|Queue\(|maxlen=", path.read_text()) and "drivers/mock" not in path.as_posix()
    ]
    assert [path for path in made if f"`{path}`" not in ARCHITECTURE and path != "mcisd/aio/queue.py"] == []


def test_every_service_is_in_the_table() -> None:
    daemon = [path.read_text() for path in (ROOT / "mcisd" / "daemon").glob("*.py")]
    names = [name for text in daemon for name in re.findall(r'host\.run\("([^"]+)"', text)]
    (bodies,) = (found for text in daemon for found in re.findall(r"bodies = \{(.*?)\}", text, re.DOTALL))
    names += re.findall(r'"([^"]+)":', bodies)
    assert len(names) > 20
    assert [name for name in names if name not in ARCHITECTURE] == []


def test_every_room_is_in_the_table() -> None:
    rooms = [path.name for path in (ROOT / "mcisd").iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert [room for room in rooms if f"`mcisd/{room}/`" not in ARCHITECTURE] == []


def test_generated_pages_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "tools" / "write_docs.py"), "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
