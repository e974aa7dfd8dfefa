"""The rules of tests/conftest.py hold: no network in unit tests, no task left, no skip in CI."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def run(folder: Path, code: str, **environment: str) -> str:
    """What pytest prints for one test file under our conftest."""
    (folder / "test_it.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", str(folder)]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "--color=no"]
    kept = {
        name: value for name, value in os.environ.items() if name != "CI" and not name.startswith(("COV", "PYTEST"))
    }
    done = subprocess.run(
        command, cwd=ROOT, env=kept | environment, capture_output=True, text=True, timeout=50, check=False
    )
    return done.stdout + done.stderr


def test_a_unit_test_reaches_nobody() -> None:
    with socket.socket() as link:
        link.settimeout(0.1)
        with pytest.raises(RuntimeError, match="may reach: none"):
            link.connect(("127.0.0.1", 9))
        with pytest.raises(RuntimeError, match="may reach: none"):
            link.bind(("127.0.0.1", 0))


def test_other_tests_reach_this_host_alone(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        "import socket, pytest\n"
        "def test_it() -> None:\n"
        "    with socket.create_server(('127.0.0.1', 0)):\n"
        "        pass\n"
        "    with socket.socket() as link, pytest.raises(RuntimeError, match='loopback'):\n"
        "        link.connect(('192.0.2.1', 80))\n",
    )
    assert "1 passed" in said, said


@pytest.mark.parametrize("ci", ["", "true"])
def test_a_skip_is_told_and_fails_in_ci(tmp_path: Path, ci: str) -> None:
    said = run(tmp_path, "import pytest\ndef test_it() -> None:\n    pytest.skip('no moon tonight')\n", CI=ci)
    if ci:
        assert "1 failed" in said, said
        assert "skipped, which CI does not allow: no moon tonight" in said
    else:
        assert "left out on this machine: 1 tests: no moon tonight" in said, said


def test_a_module_that_skips_itself_fails_in_ci(tmp_path: Path) -> None:
    said = run(tmp_path, "import pytest\npytest.importorskip('no_such_module_here')\n", CI="true")
    assert "1 error" in said, said
    assert "which CI does not allow" in said


def test_a_task_left_behind_is_an_error(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        "import asyncio, pytest\n"
        "@pytest.mark.usefixtures('no_task_left')\n"
        "async def test_it() -> None:\n"
        "    test_it.task = asyncio.create_task(asyncio.sleep(60), name='stray')  # type: ignore[attr-defined]\n",
    )
    assert "tasks left running" in said, said
    assert "stray" in said
