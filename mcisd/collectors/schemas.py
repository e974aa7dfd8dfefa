"""Schemas by key, as the topic tells them: messages in, ``Schema`` out."""

import logging
from collections.abc import Mapping

from mcisd.collectors.ports import FrameBus, Message
from mcisd.model.samples import Schema

log = logging.getLogger(__name__)


class SchemaBook:
    """Follows the topic ``schemas`` from its start. ``reader`` names who reads, as each reader needs all of them."""

    def __init__(self, bus: FrameBus, reader: str) -> None:
        self._bus = bus
        self._group = f"schemas-{reader}"
        self._known: dict[bytes, Schema] = {}

    @property
    def known(self) -> Mapping[bytes, Schema]:
        return self._known

    async def run(self) -> None:
        """Read for ever; BusError when the bus closes."""
        subscription = self._bus.follow("schemas", self._group, from_start=True)
        try:
            while True:
                for message in await subscription.fetch():
                    self.learn(message)
        finally:
            await subscription.close()

    def learn(self, message: Message) -> None:
        """Take in one message; one that is no schema is said in the log and let go."""
        try:
            schema = Schema.from_json(message.value)
        except ValueError as error:
            log.warning("message %d of topic schemas is no schema: %s", message.offset, error)
            return
        self._known[schema.key] = schema
