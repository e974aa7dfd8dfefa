"""A follower: reads every partition by itself, commits nothing. In: a topic. Out: its messages from now, or from the
start, on."""

from mcisd.bus.kafka.errors import REFUSED
from mcisd.bus.kafka.reader import Reader
from mcisd.model.errors import BusError


class KafkaFollower(Reader):
    """Implements ``bus.base.Subscription``; a commit is of no effect."""

    async def commit(self, positions: dict[int, int]) -> None:
        """Nothing: a follower begins anew each time."""
        if self._closed:
            raise BusError("closed")

    async def confirm(self) -> bool:
        """True while open: a follower holds nothing that another could get."""
        return not self._closed

    async def close(self) -> None:
        """End it."""
        self._shut()
        await self._service.stop(self._options.limits.close_s + 1.0)

    async def _run(self) -> None:
        """Read; after an error begin again where it was."""
        try:
            consumer = await self._open()
            consumer.assign(self._all)
            if not self._next:
                ask = consumer.beginning_offsets if self._from_start else consumer.end_offsets
                self._next = {part.partition: offset for part, offset in (await ask(self._all)).items()}
            for part in self._all:
                consumer.seek(part, self._next[part.partition])
            self._begun()
            await self._read(consumer)
        except REFUSED as error:
            self._fail(error)
            raise
        finally:
            await self._stop()
