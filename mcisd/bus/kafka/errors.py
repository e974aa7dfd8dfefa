"""Kafka's errors in our words. In: what the client library raises. Out: BusError, and less noise in the log."""

import logging
import time

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)

from mcisd.model.errors import BusError

REFUSED = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)
"""Trying again does not help against these."""
QUIET_S = 60.0


def bus_error(what: str, error: BaseException) -> BusError:
    """BusError that says ``what`` did not work and why; retriable unless Kafka refused for good."""
    if isinstance(error, REFUSED):
        refused = BusError(
            f"{what}: Kafka refuses: {type(error).__name__}", remedy="check bus.username and its rights on the topics"
        )
        refused.retriable = False
        return refused
    reason = str(error) or type(error).__name__
    return BusError(f"{what}: {reason}", remedy="check that the brokers of bus.url run and can be reached")


class SparingFilter(logging.Filter):
    """Lets one line of a kind through each minute: while a broker is away the library has much to say, again and
    again."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return False
        now = time.monotonic()
        quiet = now - self._last.get(record.msg, -QUIET_S) < QUIET_S
        if not quiet:
            self._last[record.msg] = now
        return not quiet


def spare_the_log() -> None:
    """Put the filter on the library's loggers, once per process."""
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "aiokafka"]:
        logger = logging.getLogger(name)
        if not any(isinstance(known, SparingFilter) for known in logger.filters):
            logger.addFilter(SparingFilter())


__all__ = ["KafkaError", "bus_error", "spare_the_log"]
