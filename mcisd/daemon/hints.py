"""Wake-ups for whoever does a piece of work, in this process or another. Names in; hints of the store out.

They only save waiting: whoever is woken finds out by itself what there is to do, and looks now and then unasked.
"""

from collections.abc import Callable, Iterable

from mcisd.aio.signal import Signal
from mcisd.store.base import MetadataStore

CONNECTION, GONE, RULES = "connection:", "connection-gone:", "rules"


class Hints:
    """Sends hints in the background: what gathers while one is on its way goes with the next."""

    def __init__(self, store: MetadataStore) -> None:
        self._store = store
        self._names: dict[str, None] = {}
        self._signal = Signal()

    def connections(self, names: Iterable[str]) -> None:
        """These connections have work."""
        self._send(CONNECTION + name for name in names)

    def connection_gone(self, name: str) -> None:
        """The connection was deleted."""
        self._send([GONE + name])

    def rules(self) -> None:
        """Alarm rules were changed."""
        self._send([RULES])

    async def run(self) -> None:
        """Send for ever."""
        while True:
            await self._signal.wait()
            names, self._names = list(self._names), {}
            if names:
                await self._store.hint(*names)

    def _send(self, names: Iterable[str]) -> None:
        self._names.update(dict.fromkeys(names))
        self._signal.set()


def listen(store: MetadataStore, prefix: str, callback: Callable[[str], None]) -> Callable[[], None]:
    """Call back with the rest of each hint that begins with ``prefix``; the answer ends it."""

    def heard(name: str) -> None:
        if name.startswith(prefix):
            callback(name.removeprefix(prefix))

    return store.on_hint(heard)
