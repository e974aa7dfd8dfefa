"""Which drivers there are: found by entry point, loaded when first asked for, new ones found without a restart.

In: a driver's name, or the path "module:Class" a user registers. Out: a driver object, or an InputError that says
what to mend.
"""

import importlib
import inspect
import re
from importlib.metadata import EntryPoint, entry_points
from threading import Lock

from mcisd.drivers.base import CloudDriver
from mcisd.model.errors import InputError

GROUP = "mcisd.drivers"
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class DriverRegistry:
    """All drivers this process can use. Loading imports code: call ``load`` in a thread where that may take long."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: dict[str, EntryPoint] = {}
        self._paths: dict[str, str] = {}
        self._drivers: dict[tuple[str, str], CloudDriver] = {}

    def names(self) -> list[str]:
        """Names of the drivers installed now and of those registered by path, sorted."""
        with self._lock:
            self._scan()
            return sorted(self._found.keys() | self._paths.keys())

    def load(self, name: str, path: str | None = None) -> CloudDriver:
        """The driver ``name``; with ``path`` ("module:Class") it is registered under that name first.

        InputError, field ``driverName`` or ``driverPath``, if there is none, it cannot be imported, or it is no driver.
        """
        with self._lock:
            if path is not None:
                return self._register(name, path)
            if name in self._paths:
                return self._drivers[name, self._paths[name]]
            return self._installed(name)

    def forget(self, name: str) -> None:
        """Take back a registration by path; installed drivers stay."""
        with self._lock:
            path = self._paths.pop(name, None)
            if path is not None:
                self._drivers.pop((name, path), None)

    def _scan(self) -> None:
        importlib.invalidate_caches()
        self._found = {point.name: point for point in entry_points(group=GROUP)}

    def _register(self, name: str, path: str) -> CloudDriver:
        if not _PATH.fullmatch(path):
            raise InputError(
                f"driverPath {path[:120]!r} is not a path",
                field="driverPath",
                remedy="write it as package.module:Class",
            )
        driver = self._drivers.get((name, path))
        if driver is None:
            importlib.invalidate_caches()
            driver = _make(EntryPoint(name, path, GROUP), "driverPath")
        self._drivers[name, path] = driver
        self._paths[name] = path
        return driver

    def _installed(self, name: str) -> CloudDriver:
        if name not in self._found:
            self._scan()
        point = self._found.get(name)
        if point is None:
            known = ", ".join(sorted(self._found.keys() | self._paths.keys())) or "none"
            raise InputError(
                f"there is no driver {name[:80]!r}", field="driverName", remedy=f"use one of: {known}, or install it"
            )
        key = (name, point.value)
        if key not in self._drivers:
            self._drivers[key] = _make(point, "driverName")
        return self._drivers[key]


def _make(point: EntryPoint, field: str) -> CloudDriver:
    """Import and construct what an entry point names."""
    try:
        found = point.load()
    except ModuleNotFoundError as error:
        raise _missing(point, error, field) from error
    except Exception as error:
        raise InputError(
            f"driver {point.name!r} cannot be loaded from {point.value}: {type(error).__name__}: {error}",
            field=field,
            remedy="mend or reinstall the driver's package",
        ) from error
    fault = _fault(found)
    if fault:
        raise InputError(
            f"{point.value} is not a driver: {fault}",
            field=field,
            remedy="see docs/adding-a-driver.md for what it needs",
        )
    try:
        driver: CloudDriver = found()
    except Exception as error:
        raise InputError(
            f"driver {point.name!r} cannot be constructed: {type(error).__name__}: {error}",
            field=field,
            remedy="a driver's class is called without arguments and may not fail",
        ) from error
    return driver


def _missing(point: EntryPoint, error: ModuleNotFoundError, field: str) -> InputError:
    """The driver's own module is absent, or (more often) a package that an extra would bring."""
    module = error.name or "?"
    if point.module == module or point.module.startswith(f"{module}."):
        return InputError(
            f"driver {point.name!r}: there is no module {module!r}", field=field, remedy="install the driver's package"
        )
    return InputError(
        f"driver {point.name!r} needs the Python package {module!r}, which is not installed",
        field=field,
        remedy=_how_to_install(point, module),
    )


def _how_to_install(point: EntryPoint, module: str) -> str:
    if point.dist is not None:
        extras = point.dist.metadata.get_all("Provides-Extra") or []
        extra = next((extra for extra in (*point.extras, point.name) if extra in extras), None)
        if extra:
            return f"install it with: pip install '{point.dist.name}[{extra}]'"
    return f"install the package that brings {module!r} beside the driver"


def _fault(found: object) -> str | None:
    """What keeps ``found`` from being a driver class; None if nothing does."""
    if not inspect.isclass(found):
        return "it is not a class"
    for name in ("provider", "version"):
        value = getattr(found, name, None)
        if not isinstance(value, str) or not value:
            return f"its attribute {name} is not a text"
    fields = getattr(found, "credential_fields", None)
    if not isinstance(fields, dict) or not all(isinstance(k, str) and isinstance(v, bool) for k, v in fields.items()):
        return "its attribute credential_fields is not a dict of name to required or not"
    if not inspect.isclass(getattr(found, "connection", None)):
        return "its attribute connection is not the class of its connections"
    if not inspect.iscoroutinefunction(getattr(found, "connect", None)):
        return "it has no coroutine method connect"
    return None
