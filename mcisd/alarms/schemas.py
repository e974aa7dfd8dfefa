"""The schemas that are known: messages of topic ``schemas`` come in; frames find what their columns mean."""

from mcisd.aio.clock import Clock
from mcisd.alarms.bell import Bell
from mcisd.model.samples import Schema

MOST, MISSED = 50_000, 1000
PATIENCE_S = 10.0


class Schemas:
    """``known`` by key. More than ``MOST`` are not kept: the oldest goes."""

    def __init__(self, clock: Clock) -> None:
        self.known: dict[bytes, Schema] = {}
        self._missed: dict[bytes, None] = {}
        self._clock = clock
        self._came = Bell(clock)

    def add(self, text: bytes) -> bytes:
        """Its key. Raises ValueError on what is not a schema."""
        schema = Schema.from_json(text)
        if schema.key not in self.known:
            if len(self.known) >= MOST:
                del self.known[next(iter(self.known))]
            self.known[schema.key] = schema
        self._came.ring()
        return schema.key

    async def wait_for(self, keys: set[bytes]) -> None:
        """Until these are known, at most ``PATIENCE_S``, and for each at most once: schemas and frames are two topics,
        and at a start the frames may be read first."""
        lacking = keys - self.known.keys() - self._missed.keys()
        end = self._clock.monotonic() + PATIENCE_S
        while lacking and (left := end - self._clock.monotonic()) > 0:
            await self._came.wait(left)
            lacking -= self.known.keys()
        self._missed |= dict.fromkeys(lacking)
        while len(self._missed) > MISSED:
            del self._missed[next(iter(self._missed))]
