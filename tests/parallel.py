"""Tests in several processes: ``pytest -n 3``. In: the tests as pytest collects them. Out: the same, long files first.

All tests of a file go to one process, because they share servers; a file that takes minutes and begins last would keep
one process busy after the others have nothing left to do.
"""

import pytest

LONG = ("slow", "browser")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if getattr(config.option, "dist", "no") == "load":  # what -n alone means: single tests
        config.option.dist = "loadfile"
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if any(item.get_closest_marker(mark) for mark in LONG)}
        items.sort(key=lambda item: item.path not in long)
