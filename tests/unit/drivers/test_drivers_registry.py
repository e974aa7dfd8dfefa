"""Finding and loading drivers; broken ones answer with a sentence that says what to mend."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcisd.drivers.mock.driver import MockDriver
from mcisd.drivers.registry import DriverRegistry
from mcisd.model.errors import InputError

GOOD = """
class Driver:
    provider = "paper"
    version = "1"
    credential_fields = {"secret": True}
    connection = object
    async def connect(self, spec, installation):
        raise RuntimeError("not called here")
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on sys.path; modules imported from it are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [
        name for name, module in sys.modules.items() if str(tmp_path) in (getattr(module, "__file__", "") or "")
    ]:
        del sys.modules[name]


def install(site: Path, name: str, module: str, code: str, metadata: str = "") -> None:
    """A distribution as an installer leaves it."""
    (site / f"{module}.py").write_text(code)
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n{metadata}")
    (info / "entry_points.txt").write_text(f"[mcisd.drivers]\n{name} = {module}:Driver\n")


def test_our_own_drivers_are_there() -> None:
    registry = DriverRegistry()
    assert {"local", "mock"} <= set(registry.names())
    driver = registry.load("mock")
    assert isinstance(driver, MockDriver)
    assert registry.load("mock") is driver


def test_a_driver_installed_later_is_found(site: Path) -> None:
    registry = DriverRegistry()
    with pytest.raises(InputError):
        registry.load("late-one")
    install(site, "late-one", "late_one_a", GOOD)
    assert registry.load("late-one").provider == "paper"
    assert "late-one" in registry.names()


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(InputError, match="no driver 'nimbus'") as caught:
        DriverRegistry().load("nimbus")
    assert caught.value.field == "driverName"
    assert "mock" in (caught.value.remedy or "")


def test_a_missing_extra_is_named(site: Path) -> None:
    extra = "Provides-Extra: sky\n"
    install(site, "sky", "sky_driver", "import sky_sdk_that_is_not_here\n" + GOOD, extra)
    with pytest.raises(InputError, match="'sky_sdk_that_is_not_here', which is not installed") as caught:
        DriverRegistry().load("sky")
    assert caught.value.remedy == "install it with: pip install 'sky_driver[sky]'"
    assert caught.value.field == "driverName"


def test_after_the_remedy_it_works_without_a_restart(site: Path) -> None:
    install(site, "sky2", "sky2_driver", "import sky2_sdk\n" + GOOD)
    registry = DriverRegistry()
    with pytest.raises(InputError, match="sky2_sdk"):
        registry.load("sky2")
    (site / "sky2_sdk.py").write_text("")
    assert registry.load("sky2").provider == "paper"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("Driver = 1", "not a class"),
        ("x = 1", "cannot be loaded"),
        ("raise ValueError('boom')", "ValueError: boom"),
        ("def f(:", "SyntaxError"),
        (GOOD.replace("async def", "def"), "coroutine"),
        (GOOD.replace('"paper"', "None"), "provider"),
        (GOOD.replace("True", "3"), "credential_fields"),
        (GOOD.replace("connection = object", ""), "connection is not the class of its connections"),
        (GOOD.replace("= object", "= 'Paper'"), "connection is not the class of its connections"),
        (GOOD + "\n    def __init__(self): raise OSError('no disk')", "cannot be constructed"),
    ],
)
def test_broken_drivers_say_why(site: Path, code: str, said: str) -> None:
    (site / "broken_driver.py").write_text(code)
    with pytest.raises(InputError, match=said) as caught:
        DriverRegistry().load("broken", "broken_driver:Driver")
    assert caught.value.field == "driverPath"
    assert caught.value.remedy


def test_registration_by_path(site: Path) -> None:
    (site / "own_driver.py").write_text(GOOD)
    registry = DriverRegistry()
    driver = registry.load("own", "own_driver:Driver")
    assert registry.load("own") is driver
    assert registry.load("own", "own_driver:Driver") is driver
    assert "own" in registry.names()
    registry.forget("own")
    registry.forget("own")
    assert "own" not in registry.names()
    with pytest.raises(InputError):
        registry.load("own")


@pytest.mark.parametrize("path", ["", "os", "os:", ":x", "../x:Y", "a b:C", "os;x:Y", "os.path:join:x"])
def test_odd_paths_are_refused_before_any_import(path: str) -> None:
    with pytest.raises(InputError, match="is not a path") as caught:
        DriverRegistry().load("odd", path)
    assert caught.value.field == "driverPath"


def test_a_path_that_is_not_there() -> None:
    with pytest.raises(InputError, match="there is no module 'nowhere_at_all'") as caught:
        DriverRegistry().load("odd", "nowhere_at_all.driver:Driver")
    assert caught.value.field == "driverPath"
