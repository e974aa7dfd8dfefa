"""Schemas by key, as the topic tells them: messages in, ``Schema`` out."""

import logging

from mcisd.collectors.following import Book
from mcisd.collectors.ports import Message
from mcisd.model.samples import Schema

log = logging.getLogger(__name__)


class SchemaBook(Book[bytes, Schema]):
    """Schema key → schema."""

    topic = "schemas"

    def learn(self, message: Message) -> None:
        """Take in one message; one that is no schema is said in the log and let go."""
        try:
            schema = Schema.from_json(message.value)
        except ValueError as error:
            log.warning("message %d of topic schemas is no schema: %s", message.offset, error)
            return
        self._known[schema.key] = schema
