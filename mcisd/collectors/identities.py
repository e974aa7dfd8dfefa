"""Whose frames they are, as the topic tells: messages in, ``Identity`` by VM out."""

import logging
from collections.abc import Mapping

from mcisd.collectors.ports import FrameBus, Message
from mcisd.model.identity import Identity

log = logging.getLogger(__name__)


class IdentityBook:
    """Follows the topic ``identities`` from its start. ``reader`` names who reads, as each reader needs all of them."""

    def __init__(self, bus: FrameBus, reader: str) -> None:
        self._bus = bus
        self._reader = f"identities-{reader}"
        self._known: dict[str, Identity] = {}

    @property
    def known(self) -> Mapping[str, Identity]:
        """VM uid → identity."""
        return self._known

    async def run(self) -> None:
        """Read for ever; BusError when the bus closes."""
        subscription = self._bus.follow("identities", self._reader, from_start=True)
        try:
            while True:
                for message in await subscription.fetch():
                    self.learn(message)
        finally:
            await subscription.close()

    def learn(self, message: Message) -> None:
        """Take in one message: an empty one takes the VM away, one that is no identity is said in the log."""
        if not message.value:
            self._known.pop(message.key, None)
            return
        try:
            identity = Identity.from_json(message.value)
        except ValueError as error:
            log.warning("message %d of topic identities is no identity: %s", message.offset, error)
            return
        self._known[identity.vm] = identity
