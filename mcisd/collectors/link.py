"""One agent's connection: bytes in, wire messages out, and the commands that wait for an answer."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress

from mcisd.collectors.acks import LinkProgress
from mcisd.collectors.lane import LaneState
from mcisd.collectors.rates import RatedSchema
from mcisd.model import wire
from mcisd.model.errors import HostCommandError, HostTimeoutError, HostUnreachableError

READ_BYTES = 1 << 16
MOST_UNSENT = 1 << 18
MOST_UNKNOWN = 1 << 13  # bytes of a peer that we do not know yet
MOST_SCHEMAS = 256


class Link:
    """Owned by the task that serves it; everybody else may send, ask and close."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, opened: float) -> None:
        self.vm = ""  # empty until welcomed
        self.opened = opened  # monotonic seconds
        self.greeted = False  # its HELLO is there; what it waits for now is us
        self.heard = opened
        self.told = opened  # when something was last sent
        self.agent = ""
        self.number = 0  # grows from one link of the VM to the next
        self.busy = False  # we do not read just now, which is not the agent's silence
        self.progress = LinkProgress("")
        self.lanes: tuple[LaneState, ...] = ()  # live and replay, once welcomed
        self.end = "lost"  # why it ended, as the event says it
        self.schemas: dict[int, RatedSchema] = {}
        self.task: asyncio.Task[None] | None = None
        host = writer.get_extra_info("peername")
        self.peer = str(host[0]) if host else "unknown"
        self._reader = reader
        self._writer = writer
        self._waiting: dict[str, asyncio.Future[dict[str, object]]] = {}

    async def messages(self) -> AsyncIterator[list[tuple[int, bytes]]]:
        """Whole messages as they come, until the peer is done. Not reading on is the back-pressure to the agent.

        WireError if the peer speaks something else, OSError if the network failed.
        """
        buffer = bytearray()
        while data := await self._reader.read(READ_BYTES):
            buffer += data
            if not self.vm and len(buffer) > MOST_UNKNOWN:
                raise wire.WireError(f"HELLO of more than {MOST_UNKNOWN} bytes")
            if messages := wire.take(buffer):
                yield messages

    def send(self, message: bytes, now: float) -> None:
        """Queue a message. A peer that does not read what it is sent is cut off."""
        transport = self._writer.transport
        if transport.is_closing():
            return
        self._writer.write(message)
        self.told = now
        if transport.get_write_buffer_size() > MOST_UNSENT:
            self.cut("not reading")

    def close(self) -> None:
        """Close after what is queued was sent; whoever waits for an answer is told."""
        self._fail_waiting()
        self._writer.close()

    def cut(self, reason: str) -> None:
        """Close at once."""
        self.end = reason
        self._writer.transport.abort()

    async def finish(self, seconds: float) -> None:
        """Close, wait a bounded time for the peer to take what was sent, then cut."""
        self.close()
        with suppress(OSError, TimeoutError):  # the peer may be gone already, which is all right when we close
            async with asyncio.timeout(seconds):
                await self._writer.wait_closed()
        self._writer.transport.abort()

    async def ask(self, op: str, timeout: float, now: float, **more: object) -> dict[str, object]:
        """Send a command and wait for its answer. A HostError says what went wrong."""
        number = secrets.token_hex(8)
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self.send(wire.pack_json(wire.COMMAND, {"id": number, "op": op, **more}), now)
            async with asyncio.timeout(timeout):
                answer: dict[str, object] = await future
        except TimeoutError:
            raise HostTimeoutError(f"the agent of {self.vm} did not answer within {timeout:g} s") from None
        finally:
            self._waiting.pop(number, None)
        if answer.get("ok") is not True:
            raise HostCommandError(f"the agent of {self.vm} could not {op}: {str(answer.get('error'))[:200]}")
        return answer

    def answered(self, body: dict[str, object]) -> None:
        """A reply came; one that nobody waits for any more is let go."""
        future = self._waiting.get(str(body.get("id")))
        if future is not None and not future.done():
            future.set_result(body)

    def _fail_waiting(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(HostUnreachableError(f"the link to the agent of {self.vm} ended"))
