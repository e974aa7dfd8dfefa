"""The rules of mcisd/drivers/base.py, as tests that every driver passes.

In: a ``bench`` fixture that yields a DriverBench of the cloud under test. Out: one test per rule, and with ``column`` a
column of the matrix. Use it as::

    class TestMyCloud(DriverSuite):
        column = "my cloud"
        behind = "an emulator of my cloud, and a proxy of ours before it"
        lacks = {"Console": "it has no serial console", "Crash": "no cloud for tests"}

        @pytest.fixture
        async def bench(self) -> AsyncIterator[DriverBench]:
            bench = DriverBench(MyDriver(), spec, {"secret": "wrong"}, "image-id", "spec-id")
            yield bench
            await bench.clean()

A test of what the cloud lacks passes only if ``lacks`` names it; the matrix says so.
"""

from tests.conformance.driver_suite_base import BaseRules
from tests.conformance.driver_suite_leftovers import LeftoverRules
from tests.conformance.driver_suite_resources import ResourceRules
from tests.conformance.driver_suite_traces import TraceRules
from tests.conformance.driver_suite_troubles import TroubleRules
from tests.conformance.driver_suite_vms import VmRules

__all__ = ["DriverSuite"]


class DriverSuite(TraceRules, LeftoverRules, TroubleRules, VmRules, ResourceRules, BaseRules):
    """All rules; pytest collects from the last base to the first, and so do the rows of the matrix."""
