"""What was measured last: the topic ``metrics`` in, the newest raw frame of each VM and a live feed out."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcisd.aio.queue import BoundedQueue
from mcisd.collectors.ports import FrameBus, Message
from mcisd.model.samples import FRAME_HEAD, Schema, frame_head

FEED = 64  # frames per VM of a feed
GATHER_S = 0.25
"""An eighth of the time between two frames of a VM; who watches does not see it, and the bus has less to do."""
_SEQ_TIME = struct.Struct("<Qq")
_SEQ_TIME_AT = 32


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """One raw frame with its columns explained. ``values`` is a read-only view, NaN is "not measured"."""

    vm: str
    schema: Schema
    seq: int
    time_ms: int
    flags: int
    values: NDArray[np.float64]


Feed = BoundedQueue[LiveFrame]


class LiveTable:
    """The newest frame of each VM. Readers that are too slow lose the oldest frames; their queue counts them."""

    def __init__(self, schemas: Mapping[bytes, Schema]) -> None:
        self._schemas = schemas
        self._newest: dict[str, bytes] = {}
        self._feeds: dict[str, list[Feed]] = {}

    async def run(self, bus: FrameBus) -> None:
        """Follow the bus for ever; BusError when it closes."""
        subscription = bus.follow("metrics", "live", gather_s=GATHER_S)
        try:
            while True:
                for message in await subscription.fetch():
                    self.update(message)
        finally:
            await subscription.close()

    def update(self, message: Message) -> None:
        """A frame of a VM. One that is not newer than the newest is old news: it came again, or late."""
        if len(message.value) < FRAME_HEAD.size:
            return  # no frame; whoever writes them counts it
        newest = self._newest.get(message.key)
        if newest is not None and _age(message.value) <= _age(newest):
            return
        self._newest[message.key] = message.value
        feeds = self._feeds.get(message.key)
        if feeds and (frame := self._explain(message.value)) is not None:
            for feed in feeds:
                feed.push(frame)

    def last(self, vm: str) -> LiveFrame | None:
        """The newest frame of the VM, None if there was none since the start."""
        value = self._newest.get(vm)
        return None if value is None else self._explain(value)

    def subscribe(self, vms: Iterable[str]) -> Feed:
        """The frames of these VMs from now on. ``unsubscribe`` ends it."""
        wanted = set(vms)
        feed: Feed = BoundedQueue(FEED * max(1, len(wanted)))
        for vm in wanted:
            self._feeds.setdefault(vm, []).append(feed)
        return feed

    def unsubscribe(self, feed: Feed) -> None:
        """No more frames for this feed; its reader gets what is left, then the end."""
        for vm, feeds in list(self._feeds.items()):
            if feed in feeds:
                feeds.remove(feed)
            if not feeds:
                del self._feeds[vm]
        feed.close()

    def forget(self, vm: str) -> None:
        """The VM is gone for good."""
        self._newest.pop(vm, None)

    def _explain(self, value: bytes) -> LiveFrame | None:
        vm, key, seq, time_ms, flags = frame_head(value)
        schema = self._schemas.get(key)
        if schema is None:
            return None
        return LiveFrame(vm, schema, seq, time_ms, flags, np.frombuffer(value, "<f8", offset=FRAME_HEAD.size))


def _age(frame: bytes) -> tuple[int, int]:
    seq, time_ms = _SEQ_TIME.unpack_from(frame, _SEQ_TIME_AT)
    return time_ms, seq
