"""The one outbound connection: frames and replies up, acknowledgements and commands down.

A state machine without blocking calls: ``step`` does what can be done now, ``deadline`` says when it wants to run
again, ``reading`` and ``writing`` what it waits for. Whatever the network does, the caller goes on measuring.
"""

import os
import time

from mcisd.agent import tls
from mcisd.agent.outbox import LIVE, REPLAY
from mcisd.agent.resolve import Lookup, numeric
from mcisd.model import wire

MYPY = False
if MYPY:
    from typing import Callable

    from mcisd.agent.config import Config
    from mcisd.agent.outbox import Outbox
    from mcisd.agent.probes.own import Stats
    from mcisd.agent.servers import Servers

CONNECT_S = 10.0  # for each of: name look-up; connection, handshake and WELCOME together
SILENCE_S = 30.0  # nothing heard for so long: the link is dead
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
REFUSED_PAUSE_S = 60.0
LEAVE_S = 2.0  # to say good-bye to one server before another one is called
MOST_MOVES = 3  # sent elsewhere so often in a row, it takes the usual pause
REPLAY_PER_S = 100.0  # frames, where the server says nothing
REPLAY_EVERY_S = 0.1
PER_STEP = 200  # frames sent before the caller may measure again
BACKLOG = 65536  # bytes waiting for the network before no more frames are handed over


INFINITE = float("inf")


class Moved(tls.LinkError):
    """The server sends us to another one."""


class Link:
    """The link of one agent."""

    def __init__(
        self,
        config: "Config",
        hello: "dict[str, object]",
        servers: "Servers",
        outbox: "Outbox",
        stats: "Stats",
        command: "Callable[[dict[str, object]], tuple[dict[str, object], tuple[int, bytes] | None]]",
        welcome: "Callable[[dict[str, object]], None]",
    ) -> "None":
        """``command`` answers a COMMAND with a REPLY body and the schema it refers to; ``welcome`` is told WELCOME."""
        self.up = False
        self.error = ""  # why there is no link; one line, never a secret
        self.patience = SILENCE_S
        self.deadline = 0.0
        self._config = config
        self._hello = hello
        self._outbox = outbox
        self._stats = stats
        self._command = command
        self._welcome = welcome
        self._lookup: "Lookup | None" = None
        self._channel: "tls.Channel | None" = None
        self._buffer = bytearray()
        self._announced: "set[int]" = set()
        self._greeted = False
        self._servers = servers
        self._leaving = False
        self._said_ms = 0  # our time in HELLO
        self._number = 0  # of the last link that was welcomed
        self._stay = False  # sent to this server, or the one before did not answer: it should keep us
        self._moves = 0
        self._replay_per_s = REPLAY_PER_S
        self._replay_at = 0.0  # when the next frames may be replayed; infinite when all are
        self._pause = FIRST_PAUSE_S
        self._least_pause = 0.0

    @property
    def wake(self) -> "float":
        """The monotonic second at which ``step`` wants to run again, whatever the network does."""
        return min(self.deadline, self._replay_at) if self.up and not self._leaving else self.deadline

    @property
    def reading(self) -> "list[int]":
        """Descriptors to wait for until readable."""
        if self._lookup:
            return [self._lookup.fileno()]
        return [self._channel.fileno()] if self._channel else []

    @property
    def writing(self) -> "list[int]":
        """Descriptors to wait for until writable."""
        return [self._channel.fileno()] if self._channel and self._channel.wants_write else []

    def step(self, now: "float", ready: "set[int]", writable: "set[int]") -> "bool":
        """Do what can be done at monotonic second ``now``; true if there is more to do at once."""
        try:
            return self._step(now, ready, writable)
        except (OSError, ValueError, KeyError, TypeError) as error:
            if self._leaving:
                self._left(now)
            else:
                self._fail(now, error)
            return False

    def farewell(self, seconds: "float") -> "None":
        """End orderly: send what waits and BYE, for at most ``seconds``, then close."""
        until = time.monotonic() + seconds
        try:
            if self.up and self._channel:
                self._channel.send(wire.pack_json(wire.BYE, {}))
                self._channel.flush()
                while self._channel.wants_write and time.monotonic() < until:
                    time.sleep(0.01)
                    self._channel.flush()
        except OSError as error:
            self.error = str(error)  # the server was gone first: then there is nobody to greet
        self._drop()

    def _step(self, now: "float", ready: "set[int]", writable: "set[int]") -> "bool":
        if self._lookup:
            if self._lookup.fileno() in ready:
                self._looked_up(now, self._lookup)
            elif now >= self.deadline:
                raise tls.LinkError("name look-up of the server timed out")
            return False
        if not self._channel:
            if now >= self.deadline:
                self._start(now)
            return False
        fd = self._channel.fileno()
        received = self._channel.pump(fd in ready, fd in writable)
        if self._channel.ready and not self._greeted:
            self._greeted = True
            self._said_ms = int(time.time() * 1000)
            more = {"link": self._number, "time_ms": self._said_ms, "stay": self._stay}
            self._send(wire.pack_json(wire.HELLO, dict(self._hello, **more)))
        if received:
            self._take(now, received)
        if now >= self.deadline:
            raise tls.LinkError("the server is silent")
        return self._feed(self._channel, now) if self.up and not self._leaving else False

    def _start(self, now: "float") -> "None":
        host, port = self._servers.current
        self.deadline = now + CONNECT_S
        found = numeric(host, port)
        if found:
            self._connect(found[0], found[1])
        else:
            self._lookup = Lookup(host)

    def _looked_up(self, now: "float", lookup: "Lookup") -> "None":
        address = lookup.result()
        lookup.close()
        self._lookup = None
        host, port = self._servers.current
        found = numeric(address, port)
        if not found:
            raise tls.LinkError("no address for server %s" % host)
        self.deadline = now + CONNECT_S
        self._connect(found[0], found[1])

    def _connect(self, family: "int", address: "tuple[object, ...]") -> "None":
        # The context is made anew: a CA file that was replaced counts from the next attempt on.
        context = tls.client_context(self._config.ca)
        self._channel = tls.Channel(context, self._config.server_name, family, address, self._stats)

    def _take(self, now: "float", received: "bytes") -> "None":
        self._buffer += received
        for kind, payload in wire.take(self._buffer):
            if kind == wire.ACK and self.up:
                self._outbox.acked(*wire.unpack_ack(payload))
                self._pause, self._moves = FIRST_PAUSE_S, 0
            elif kind == wire.COMMAND and self.up:
                self._obey(now, wire.unpack_json(payload))
            elif kind == wire.WELCOME and not self.up:
                self._welcomed(wire.unpack_json(payload))
            elif kind == wire.REFUSED:
                self._refused(wire.unpack_json(payload))
            else:
                raise wire.WireError("unexpected message of type %d" % kind)
        if self.up and not self._leaving:
            self.deadline = now + self.patience

    def _welcomed(self, body: "dict[str, object]") -> "None":
        self._number, window_ms = _number(body, "link"), _number(body, "window_ms")
        if window_ms < 1:
            raise wire.WireError("WELCOME with a window of %d ms" % window_ms)
        skew_ms = _number(body, "skew_ms")
        now_ms = self._said_ms + skew_ms
        self._replay_per_s = float(max(1, _number(body, "replay_per_s") if "replay_per_s" in body else REPLAY_PER_S))
        self._replay_at = 0.0
        if "servers" in body:
            self._servers.learn(body["servers"])
        self._welcome(body)
        self._outbox.link_up(now_ms - now_ms % window_ms - skew_ms)
        self.up = True
        self._stay = False
        self.error = ""

    def _refused(self, body: "dict[str, object]") -> "None":
        code = str(body.get("code"))[:40]
        if code == "moved":
            self._moves += 1
            self._servers.go(body.get("servers"))
            self._stay = True
            raise Moved("moved to %s port %d" % self._servers.current)
        if code in ("revoked", "unknown"):
            self._least_pause = REFUSED_PAUSE_S
        raise tls.LinkError("the server refused: %s" % code)

    def _obey(self, now: "float", body: "dict[str, object]") -> "None":
        reply, schema = self._command(body)
        if body.get("op") == "move":
            try:
                self._servers.go(body.get("servers"))
            except wire.WireError as error:
                reply.update(ok=False, error=str(error))
            else:
                self._stay = self._leaving = True
                self.deadline = now + LEAVE_S
        if schema:
            self._announce(schema[0], schema[1])
        self._send(wire.pack_json(wire.REPLY, reply))
        if self._leaving:
            self._send(wire.pack_json(wire.BYE, {"reason": "moved"}))

    def _left(self, now: "float") -> "None":
        """The old server has taken our good-bye and closed, or takes too long over it: call the new one."""
        self._drop()
        self.error = "moving to %s port %d" % self._servers.current
        self.deadline = now

    def _announce(self, number: "int", message: "bytes") -> "None":
        if number not in self._announced:
            self._send(message)
            self._announced.add(number)

    def _feed(self, channel: "tls.Channel", now: "float") -> "bool":
        """Hand frames to the channel while the network takes them; true if the step ended before the frames did.

        Live frames go first; others at their pace, in small portions.
        """
        portion = self._portion(now)
        for _ in range(PER_STEP):
            if channel.backlog > BACKLOG:
                return False  # writable will say when to go on
            item = self._outbox.next(LIVE)
            if item is None and portion:
                portion -= 1
                item = self._outbox.next(REPLAY)
                if item is None:
                    portion, self._replay_at = 0, INFINITE
                    channel.send(wire.pack_json(wire.REPLAY_DONE, {}))
            if item is None:
                channel.flush()
                return False
            schema, payload = item
            if schema not in self._announced:
                message = self._outbox.schema(schema)
                if message is None:
                    self._outbox.lost()
                    continue
                self._announce(schema, message)
            channel.send(wire.pack(wire.FRAME, payload))
            if channel.backlog > 16384:
                channel.flush()
        return True

    def _portion(self, now: "float") -> "int":
        """How many frames may be replayed now: those of a tenth of a second, or one at its time."""
        if now < self._replay_at:
            return 0
        count = min(PER_STEP // 2, max(1, int(self._replay_per_s * REPLAY_EVERY_S)))
        self._replay_at = now + count / self._replay_per_s
        return count

    def _send(self, data: "bytes") -> "None":
        if self._channel:
            self._channel.send(data)
            self._channel.flush()

    def _fail(self, now: "float", error: "Exception") -> "None":
        was_up = self.up
        self._drop()
        self.error = str(error) or type(error).__name__
        if isinstance(error, Moved):
            if self._moves <= MOST_MOVES:
                self.deadline = now
                return
        elif not was_up or self._pause > FIRST_PAUSE_S:
            self._servers.next()  # else the same one again first: it was good until now
            self._stay = True
        chance = int.from_bytes(os.urandom(4), "big") / 4294967296.0
        self.deadline = now + self._least_pause + self._pause * chance
        self._pause = min(LONGEST_PAUSE_S, self._pause * 2)
        self._least_pause = 0.0

    def _drop(self) -> "None":
        if self._lookup:
            self._lookup.close()
        if self._channel:
            self._channel.close()
        if self.up:
            self._stats.reconnects += 1
            self._outbox.link_down()
        self._lookup = self._channel = None
        self._buffer = bytearray()
        self._announced.clear()
        self.up = self._greeted = self._leaving = False


def _number(body: "dict[str, object]", name: "str") -> "int":
    value = body.get(name)
    if not isinstance(value, int):
        raise wire.WireError("WELCOME without a number in %s" % name)
    return value
