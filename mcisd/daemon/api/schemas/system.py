"""Events and the daemon itself."""

from mcisd.daemon.api.schemas.base import Model


class EventInfo(Model):
    """A CloudEvent (1.0, JSON format); ``sequence`` is the id of the stream."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    sequence: int
    data: dict[str, object]


class SystemInfo(Model):
    version: str
    installation: str
    started_at: float
    roles: list[str]
    services: dict[str, str]
    counters: dict[str, float]


class Problem(Model):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    remedy: str | None = None


class Empty(Model):
    """Done; there is nothing to tell."""


class LinkInfo(Model):
    url: str
