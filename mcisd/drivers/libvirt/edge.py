"""The thin edge to libvirt-python; with objects.py, storage.py and hypervisor.py all that touches it. It blocks.

In: a function of the library. Out: its result or our error; each call is one request to the hypervisor, noted as such.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from mcisd.drivers.libvirt import errors
from mcisd.drivers.wire import sent


class Edge:
    """One open connection to a hypervisor."""

    def __init__(self, library: ModuleType, handle: Any) -> None:
        self._lib: Any = library
        self._handle = handle

    def call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """One request, by libvirt's own name for it; its error becomes ours."""
        sent(name)
        try:
            return function(*arguments)
        except self._lib.libvirtError as error:
            raise errors.translated(error.get_error_code() or 0, error.get_error_message() or "") from error

    def stream(self) -> Any:
        return self._handle.newStream(0)

    def number(self, name: str) -> int:
        """A constant of the library, by its name without VIR_."""
        return int(getattr(self._lib, f"VIR_{name}"))
