"""The example driver, built and installed while a registry runs, then put to the same test as our own drivers.

The wheel is put together here by hand from the example's own pyproject.toml, because a build backend may not be at
hand and nothing may be fetched; the installation is pip's.
"""

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from mcisd.drivers.base import CloudDriver
from mcisd.drivers.registry import DriverRegistry
from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import InputError
from tests.conformance.driver_bench import DriverBench, Trouble, fresh
from tests.conformance.driver_suite import DriverSuite

EXAMPLE = Path(__file__).parents[3] / "examples" / "driver"


def build_wheel(target: Path) -> Path:
    """What a build backend makes of the example: its package, and the metadata of pyproject.toml."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())
    name, version = project["project"]["name"].replace("-", "_"), project["project"]["version"]
    points = project["project"]["entry-points"]["mcisd.drivers"]
    info = f"{name}-{version}.dist-info"
    entries = "[mcisd.drivers]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
    texts = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project['project']['name']}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": entries,
    }
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        for file in sorted((EXAMPLE / package).rglob("*.py")):
            texts[file.relative_to(EXAMPLE).as_posix()] = file.read_text()
    record = "".join(f"{path},,\n" for path in [*texts, f"{info}/RECORD"])
    wheel = target / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**texts, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return wheel


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudDriver]:
    """The driver as a running registry finds it after ``pip install``."""
    registry = DriverRegistry()
    with pytest.raises(InputError):
        registry.load("paper")
    site = tmp_path_factory.mktemp("site")
    wheel = build_wheel(tmp_path_factory.mktemp("wheel"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    command = [*pip, "install", "--no-index", "--no-deps", "--target", str(site), str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    sys.path.append(str(site))
    try:
        assert "paper" in registry.names()
        yield registry.load("paper")
    finally:
        sys.path.remove(str(site))
        for name in [name for name in sys.modules if name.partition(".")[0] == "mcisd_paper"]:
            del sys.modules[name]


class TestPaperDriver(DriverSuite):
    lacks: ClassVar[dict[str, str]] = {
        "Hibernate": "paper has no memory to keep",
        "Console": "paper says nothing",
        "Quota": "there is always more paper",
        "an endpoint": "it is in this process",
        "a console of its own": "the book is this process's own",
        "first-boot data": "nothing boots",
        **{kind.value: "nothing goes wrong on paper" for kind in Trouble},
    }

    @pytest.fixture
    async def bench(self, driver: CloudDriver) -> AsyncIterator[DriverBench]:
        credential = {"account": fresh("account"), "password": "pencil"}
        spec = ConnectionSpec("paper", "paper-north", None, credential)
        bench = DriverBench(driver, spec, {"password": "ballpoint"}, "linux", "a5")
        yield bench
        await bench.clean()
