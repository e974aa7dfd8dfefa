"""libvirt's own event loop, in one thread of the process as long as it lives. In: the library. Out: keepalive works.

libvirt tells a dead network from a slow hypervisor only while such a loop runs; without one a call to a host that is no
more hangs until the kernel gives up, a quarter of an hour.
"""

import threading
from types import ModuleType
from typing import Any

SECONDS, MISSED = 5, 3
"""A question this often; after so many without an answer the connection counts as broken."""
_guard = threading.Lock()
_running: list[threading.Thread] = []


def ensure(library: ModuleType) -> None:
    """Start the loop if it does not run; before the first connection is opened."""
    with _guard:
        if not _running:
            library.virEventRegisterDefaultImpl()
            thread = threading.Thread(target=_run, args=(library,), name="libvirt events", daemon=True)
            _running.append(thread)
            thread.start()


def watch(library: ModuleType, handle: Any) -> None:
    """Let libvirt notice when the other side of ``handle`` goes silent; those in this process have none."""
    errors: Any = library.libvirtError
    try:
        handle.setKeepAlive(SECONDS, MISSED)
    except errors:
        return


def _run(library: ModuleType) -> None:
    while True:
        library.virEventRunDefaultImpl()
