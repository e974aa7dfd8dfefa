"""The benchmark of calls to clouds, on a small scale: its figures are what the mock cloud is known to take."""

import argparse
import asyncio

from benchmarks import cloud_calls
from benchmarks.kit.cloud_backends import OPENERS
from benchmarks.kit.clouds import LIBRARIES


def test_figures_of_the_mock_cloud() -> None:
    options = argparse.Namespace(vms=[1, 3], parallel=4, runs=1)
    figures = asyncio.run(cloud_calls.one_cloud("mock", options))
    for count in (1, 3):
        assert figures[f"{count} VMs: requests for network, group, key"] == [3]
        assert figures[f"{count} VMs: requests per VM created"] == [1]
        assert figures[f"{count} VMs: requests per status round"] == [1]
        assert figures[f"{count} VMs: requests per VM terminated"] == [1]
    assert figures["4 VMs at once: driver, VM/s"][0] > 0
    assert figures["4 VMs at once: bare API, VM/s"][0] > 0


def test_every_cloud_has_a_line_for_its_library() -> None:
    assert OPENERS.keys() <= LIBRARIES.keys()


def test_loading_a_driver_costs_something() -> None:
    found = cloud_calls.loading("mock", ("mcisd.drivers.mock.driver",))
    assert found["mock, ms"] > 0
    assert found["mock, MB"] >= 0
