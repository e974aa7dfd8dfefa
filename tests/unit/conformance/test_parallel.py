"""Tests in several processes: a file stays together, and the long ones begin first."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[3]
QUICK = "\n".join(f"def test_{number}(): pass" for number in range(6))
LONG = "import pytest\n@pytest.mark.slow\ndef test_long(): pass\ndef test_beside(): pass"


def test_files_stay_together_and_long_ones_begin_first(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini("[pytest]\nmarkers = slow: long")
    pytester.makepyfile(test_a=QUICK, test_b=QUICK, test_z=LONG)
    result = pytester.runpytest_subprocess("-p", "tests.parallel", "-p", "no:cacheprovider", "-n", "2", "-v")
    ended = [line.split() for line in result.outlines if " PASSED " in line]
    workers: dict[str, set[str]] = {}
    files: dict[str, list[str]] = {}
    for worker, *_, test in ended:
        file = test.partition(".py")[0]
        workers.setdefault(file, set()).add(worker)
        files.setdefault(worker, []).append(file)
    assert {file: len(where) for file, where in workers.items()} == {"test_a": 1, "test_b": 1, "test_z": 1}
    assert "test_z" in {names[0] for names in files.values()}, files
    result.assert_outcomes(passed=14)
