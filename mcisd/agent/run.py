"""The agent as a whole: config in, one loop that measures, keeps, sends and obeys, exit code out."""

import os
import select
import time

from mcisd import __version__
from mcisd.agent import scope
from mcisd.agent.config import ConfigError, checked_interval
from mcisd.agent.gather import Gatherer
from mcisd.agent.link import SILENCE_S, Link
from mcisd.agent.outbox import Outbox
from mcisd.agent.probes.base import ProcFiles
from mcisd.agent.probes.own import Stats
from mcisd.agent.schedule import Schedule
from mcisd.agent.sequence import Sequence
from mcisd.agent.servers import Servers
from mcisd.agent.spool import Spool
from mcisd.model import wire

MYPY = False
if MYPY:
    import signal

    from mcisd.agent.config import Config
else:
    import _signal as signal  # the C part: the module signal adds enumerations, 0.5 MB

ORDERLY = 0
DO_NOT_RESTART = 64
_HEAD = 5  # bytes before the payload of a wire message


class Agent:
    """One running agent. ``code`` is None while it runs, then its exit code."""

    def __init__(self, config: "Config", environment: "dict[str, str]", root: "str" = "/") -> "None":
        """Raises OSError, ValueError, KeyError if the scope cannot be measured."""
        self.code: "int | None" = None
        self.stats = Stats()
        self._schedule = Schedule(config.vm, config.interval_ms)
        files = ProcFiles(root)
        files.start(time.monotonic())
        self._gatherer = Gatherer(files, scope.probes(environment, files, self.stats), self.stats)
        self._spool = Spool(config.spool_dir, config.spool_max_bytes, config.spool_max_age_s)
        self._outbox = Outbox(self._spool, self.stats)
        now_ms = int(time.time() * 1000)
        self._sequence = Sequence(os.path.join(config.spool_dir, "sequence"), now_ms, self._outbox.last)
        hello: "dict[str, object]" = {"protocol": wire.PROTOCOL, "vm": config.vm, "token": config.token}
        hello.update(agent=__version__, session=os.urandom(8).hex())
        servers = Servers(os.path.join(config.spool_dir, "servers"), config.servers)
        self._link = Link(config, hello, servers, self._outbox, self.stats, self._command, self._welcome)
        self._said = ""
        self._tick_at = 0.0
        self._plan()

    def run(self) -> "int":
        """Measure and send until told to end; gives the exit code."""
        wake, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_end)
        while self.code is None:
            self._turn(wake)
        self._link.farewell(1.0)
        self._outbox.spill()
        self._spool.close()
        return self.code

    def tick(self) -> "None":
        """One regular measuring round: its frame goes to the outbox."""
        began = time.monotonic()
        time_ms = self._schedule.stamp(time.time() * 1000.0)
        values = self._gatherer.gather(began, True)
        seq = self._sequence.take()
        schema = self._gatherer.schema
        payload = wire.pack_frame(schema.id, seq, time_ms, 0, values)[_HEAD:]
        self._outbox.put(seq, time_ms, payload, schema)
        self.stats.gather_ms = (time.monotonic() - began) * 1000.0

    def _turn(self, wake: "int") -> "None":
        now = time.monotonic()
        if now >= self._tick_at:
            self.tick()
            self._plan()
        more = self._link.step(now, set(), set())
        while self.code is None:
            now = time.monotonic()
            wait = 0.0 if more else max(0.0, min(self._tick_at, self._link.wake) - now)
            readable, writable, _ = select.select([*self._link.reading, wake], self._link.writing, [], wait)
            now = time.monotonic()
            more = self._link.step(now, set(readable), set(writable))
            self._say()
            if wake in readable:
                os.read(wake, 64)
            if now >= self._tick_at:
                return

    def _plan(self) -> "None":
        self._tick_at = time.monotonic() + self._schedule.wait_ms(time.time() * 1000.0) / 1000.0

    def _asked_to_end(self, number: "int", frame: "object") -> "None":
        if self.code is None:
            self.code = ORDERLY

    def _say(self) -> "None":
        if self._link.error != self._said:
            self._said = self._link.error
            try:
                os.write(2, ("mcisd-agent: link: %s\n" % (self._said or "up")).encode("utf-8", "replace"))
            except OSError:
                return  # the log's disk is full or its reader gone: measuring goes on

    def _welcome(self, body: "dict[str, object]") -> "None":
        self._sequence.above(int(str(body["seen"])))
        self._set_interval(checked_interval(body.get("interval_ms", self._schedule.interval_ms)))

    def _set_interval(self, interval_ms: "int") -> "None":
        if interval_ms != self._schedule.interval_ms:
            self._schedule.set_interval(interval_ms)
            self._plan()
        # The daemon acknowledges what it got: with seldom frames, silence is no sign of death.
        self._link.patience = max(SILENCE_S, 2 * interval_ms / 1000.0 + 20.0)

    def _command(self, body: "dict[str, object]") -> "tuple[dict[str, object], tuple[int, bytes] | None]":
        """Carry out one COMMAND; gives the body of its REPLY and the schema this refers to."""
        reply: "dict[str, object]" = {"id": str(body.get("id")), "ok": True}
        op = body.get("op")
        if op == "measure":
            return self._measure(reply)
        if op == "interval":
            try:
                self._set_interval(checked_interval(body.get("interval_ms")))
            except ConfigError as error:
                reply.update(ok=False, error=str(error))
        elif op == "stop":
            self.code = DO_NOT_RESTART
        elif op != "move":  # the link's own
            reply.update(ok=False, error="op: unknown; this agent knows measure, interval, move and stop")
        return reply, None

    def _measure(self, reply: "dict[str, object]") -> "tuple[dict[str, object], tuple[int, bytes] | None]":
        values: "list[float]" = self._gatherer.gather(time.monotonic(), False)
        schema = self._gatherer.schema
        known = [None if value != value else value for value in values]  # JSON has no NaN
        reply.update(schema=schema.id, time_ms=int(time.time() * 1000), values=known)
        return reply, (schema.id, schema.message)
