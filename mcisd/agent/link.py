"""The one outbound connection: frames and replies up, acknowledgements and commands down.

A state machine without blocking calls: ``step`` does what can be done now, ``deadline`` says when it wants to run
again, ``reading`` and ``writing`` what it waits for. Whatever the network does, the caller goes on measuring.
"""

import os
import time

from mcisd.agent import tls
from mcisd.agent.resolve import Lookup, numeric
from mcisd.model import wire

MYPY = False
if MYPY:
    from typing import Callable

    from mcisd.agent.config import Config
    from mcisd.agent.outbox import Outbox
    from mcisd.agent.probes.own import Stats

CONNECT_S = 10.0  # for each of: name look-up; connection, handshake and WELCOME together
SILENCE_S = 30.0  # nothing heard for so long: the link is dead
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
REFUSED_PAUSE_S = 60.0
PER_STEP = 200  # frames replayed before the caller may measure again
BACKLOG = 65536  # bytes waiting for the network before no more frames are handed over


class Link:
    """The link of one agent."""

    def __init__(
        self,
        config: "Config",
        hello: "dict[str, object]",
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
        self._server = 0
        self._pause = FIRST_PAUSE_S
        self._least_pause = 0.0

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
            self._fail(now, str(error) or type(error).__name__)
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
            self._send(wire.pack_json(wire.HELLO, dict(self._hello, time_ms=int(time.time() * 1000))))
        if received:
            self._take(now, received)
        if now >= self.deadline:
            raise tls.LinkError("the server is silent")
        return self._feed(self._channel) if self.up else False

    def _start(self, now: "float") -> "None":
        host, port = self._config.servers[self._server % len(self._config.servers)]
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
        host, port = self._config.servers[self._server % len(self._config.servers)]
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
                self._outbox.acked(wire.unpack_ack(payload))
                self._pause = FIRST_PAUSE_S
            elif kind == wire.COMMAND and self.up:
                self._reply(wire.unpack_json(payload))
            elif kind == wire.WELCOME and not self.up:
                self._welcomed(wire.unpack_json(payload))
            elif kind == wire.REFUSED:
                self._refused(wire.unpack_json(payload))
            else:
                raise wire.WireError("unexpected message of type %d" % kind)
        if self.up:
            self.deadline = now + self.patience

    def _welcomed(self, body: "dict[str, object]") -> "None":
        acked = body["acked"]
        if not isinstance(acked, int):
            raise wire.WireError("WELCOME without a number in acked")
        self._welcome(body)
        self._outbox.link_up(acked)
        self.up = True
        self.error = ""

    def _refused(self, body: "dict[str, object]") -> "None":
        code = str(body.get("code"))[:40]
        if code in ("revoked", "unknown"):
            self._least_pause = REFUSED_PAUSE_S
        raise tls.LinkError("the server refused: %s" % code)

    def _reply(self, body: "dict[str, object]") -> "None":
        reply, schema = self._command(body)
        if schema:
            self._announce(schema[0], schema[1])
        self._send(wire.pack_json(wire.REPLY, reply))

    def _announce(self, number: "int", message: "bytes") -> "None":
        if number not in self._announced:
            self._send(message)
            self._announced.add(number)

    def _feed(self, channel: "tls.Channel") -> "bool":
        """Hand frames to the channel while the network takes them; true if the step ended before the frames did."""
        for _ in range(PER_STEP):
            if channel.backlog > BACKLOG:
                return False  # writable will say when to go on
            item = self._outbox.next()
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

    def _send(self, data: "bytes") -> "None":
        if self._channel:
            self._channel.send(data)
            self._channel.flush()

    def _fail(self, now: "float", reason: "str") -> "None":
        self._drop()
        self.error = reason
        self._server += 1
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
        self.up = self._greeted = False
