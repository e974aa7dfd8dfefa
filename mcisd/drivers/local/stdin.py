"""Input of a remote command: from the SSH channel to its pipe or terminal. In: data, signals, sizes. Out: the same.

Written by hand because asyncio's own pipe writer loses what is written together with end-of-file in its
"resume writing" callback, which is what happens when a client sends faster than the command reads.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import termios

import asyncssh

_CHUNK = 64 * 1024


class Stdin:
    """Feeds the command ``pid`` through the descriptor ``fd``, which it owns."""

    def __init__(self, process: asyncssh.SSHServerProcess[bytes], fd: int) -> None:
        self._process = process
        self._fd = fd
        os.set_blocking(fd, False)
        if process.term_type:
            self._resize(process.term_size)

    async def pump(self, pid: int) -> None:
        """Pass everything on until the client's end of input; then close, unless it is a terminal."""
        while True:
            try:
                data = await self._process.stdin.read(_CHUNK)
            except asyncssh.SignalReceived as caught:
                _signal(pid, getattr(signal, f"SIG{caught.signal}", None))
            except asyncssh.BreakReceived:
                _signal(pid, signal.SIGINT)
            except asyncssh.TerminalSizeChanged as caught:
                self._resize(caught.term_size)
            else:
                if data:
                    await self._write(data)
                elif self._process.stdin.at_eof():
                    break
        if not self._process.term_type:
            self.close()

    def close(self) -> None:
        """Give the descriptor back; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    async def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest and self._fd >= 0:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                await self._writable()
            except OSError:
                self.close()  # nobody reads any more: what still comes is dropped, signals are still passed on

    async def _writable(self) -> None:
        loop, fd = asyncio.get_running_loop(), self._fd
        ready = asyncio.Event()
        loop.add_writer(fd, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(fd)

    def _resize(self, size: tuple[int, int, int, int]) -> None:
        columns, rows, width, height = size
        if self._fd >= 0:
            fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, width, height))


def _signal(pid: int, number: signal.Signals | None) -> None:
    """To the command's whole process group, as SSH servers do; a name this system lacks is ignored."""
    if number is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)
