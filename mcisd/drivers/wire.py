"""What really goes to a cloud: one note per request on the wire. In: notes of drivers. Out: whoever counts them.

One call of a handler may need several requests (a network is a VPC, a subnet, a gateway …). calls.py charges and
records them; the conformance suite writes them down, so that a change that doubles them shows in review.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str], None]
_listener: ContextVar[Listener | None] = ContextVar("wire_listener", default=None)


def sent(operation: str) -> None:
    """A request is about to be sent: the cloud's own name for it, without ids ("RunInstances", "GET servers/{id}").

    Works in threads that were given the caller's context, as ``asyncio.to_thread`` does.
    """
    listener = _listener.get()
    if listener is not None:
        listener(operation)


@contextmanager
def heard(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` of what is sent inside; an outer listener hears it, too. It may be called from any thread."""
    outer = _listener.get()

    def both(operation: str) -> None:
        listener(operation)
        if outer is not None:
            outer(operation)

    token = _listener.set(both)
    try:
        yield
    finally:
        _listener.reset(token)
