"""The driver rules on the local cloud: a real cloud process with quick state changes, one for all tests of the file."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mcisd.drivers.local import launch
from mcisd.drivers.local.driver import LocalDriver
from mcisd.model.cloud import ConnectionSpec
from tests.conformance.driver_bench import DriverBench, fresh
from tests.conformance.driver_suite import DriverSuite


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    where = tmp_path_factory.mktemp("cloud")
    yield where
    assert launch.stop(where, terminate=True) == "the local cloud has stopped, its VMs are terminated"
    assert (where / "cloud.err").read_text() == ""


class TestLocalDriver(DriverSuite):
    @pytest.fixture
    async def bench(self, home: Path) -> AsyncIterator[DriverBench]:
        credential = {"account": fresh("acc"), "secret": "right-one", "home": str(home)}
        spec = ConnectionSpec("conformance", "ap-northeast-2", "b", credential, {"delay_scale": "0.2"})
        bench = DriverBench(LocalDriver(), spec, {"secret": "wrong-one"}, "debian-12", "local.nano")
        await (await bench.open()).check()  # an account is known from its first use on
        yield bench
        await bench.clean()
