"""The rules of mcisd/drivers/base.py, as tests that every driver passes.

In: a ``bench`` fixture that yields a DriverBench of the cloud under test. Out: one test per rule. Use it as::

    class TestMyCloud(DriverSuite):
        @pytest.fixture
        async def bench(self) -> AsyncIterator[DriverBench]:
            bench = DriverBench(MyDriver(), spec, {"secret": "wrong"}, "image-id", "spec-id")
            yield bench
            await bench.clean()

A capability the cloud lacks skips its tests and says so.
"""

from tests.conformance.driver_suite_base import BaseRules
from tests.conformance.driver_suite_resources import ResourceRules
from tests.conformance.driver_suite_vms import VmRules

__all__ = ["DriverSuite"]


class DriverSuite(BaseRules, ResourceRules, VmRules):
    """All rules."""
