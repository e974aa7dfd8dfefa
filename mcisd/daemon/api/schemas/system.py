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


class NodeInfo(Model):
    """One living process of the installation."""

    name: str
    roles: list[str]
    version: str
    url: str
    collector: str
    region: str
    draining: bool
    links: int
    frames_per_second: float
    started_at: float


class SystemInfo(Model):
    """The installation, and this process of it: its services (name → "ok" or the last error) and counters."""

    version: str
    installation: str
    started_at: float
    roles: list[str]
    nodes: list[NodeInfo]
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
