"""Whose frames they are, as the topic tells: messages in, ``Identity`` by VM out."""

import logging

from mcisd.collectors.following import Book
from mcisd.collectors.ports import Message
from mcisd.model.identity import Identity

log = logging.getLogger(__name__)


class IdentityBook(Book[str, Identity]):
    """VM uid → identity."""

    topic = "identities"

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
