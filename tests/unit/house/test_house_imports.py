"""What import-linter cannot say: the agent takes the wire form and the standard library, and nothing else."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OURS = ("mcisd.agent", "mcisd.model.wire")


def imports(path: Path) -> Iterator[str]:
    """Full names of everything a module imports; of `from a import b` both `a` and `a.b`, as b may be a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_agent_is_alone() -> None:
    foreign = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / "mcisd" / "agent").rglob("*.py")
        for name in imports(path)
        if name.partition(".")[0] not in sys.stdlib_module_names
        and not name.startswith(OURS)
        and name != "mcisd.__version__"
    ]
    assert foreign == []


def test_the_wire_form_is_alone() -> None:
    """It travels in the agent's zipapp, so it may import nothing of ours."""
    names = list(imports(ROOT / "mcisd" / "model" / "wire.py"))
    assert [name for name in names if name.partition(".")[0] not in sys.stdlib_module_names] == []


def test_raw_tasks_have_one_home() -> None:
    """`create_task` on a loop stands in aio, where tasks get their owner; task groups own theirs by themselves."""
    found = []
    for path in (ROOT / "mcisd").rglob("*.py"):
        if "aio" in path.parts or "drivers/local" in path.as_posix() or "demo" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = node.func.value
            if node.func.attr == "create_task" and isinstance(owner, ast.Name) and owner.id == "asyncio":
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []
