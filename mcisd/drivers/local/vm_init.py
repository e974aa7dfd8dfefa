"""First process of a local VM: starts commands, adopts orphans, reaps. Runs alone: ``python -I -S vm_init.py``.

In: packets on the Unix socket ``init.sock`` in the working directory, one connection per command, with the command's
stdin, stdout and stderr as passed descriptors. Out: ``pid N``, later ``exit N`` or ``signal N``, then end of file.

    ping                                               -> pid N (of this process); the connection stays open
    run NUL "d" or "" NUL cwd NUL argc NUL argv… env…  -> starts; "d": goes on when the connection ends

A connection that ends early hangs its command up (SIGHUP), as an SSH server does. As subreaper this process becomes
the parent of every orphan below it, so whatever a command does, its descendants stay in this VM's tree.
Standard library only, and the small halves of it: one such process runs per VM.
"""

import _signal  # type: ignore[import-not-found]  # has no stubs; the Python half costs 0.7 MB per VM
import _socket
import ctypes
import os
import select
import sys

PR_SET_CHILD_SUBREAPER = 36
PACKET = 192 * 1024
FD_SIZE = 4
USUAL = (
    _signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM, _signal.SIGPIPE, _signal.SIGCHLD, _signal.SIGTSTP,
    _signal.SIGTTIN, _signal.SIGTTOU, _signal.SIGUSR1, _signal.SIGUSR2, _signal.SIGXFSZ,
)  # fmt: skip


class Init:
    """The table of commands that run and of connections that wait for them."""

    def __init__(self, listener: _socket.socket, wake: int) -> None:
        self.listener = listener
        self.wake = wake
        self.poller = select.poll()
        self.poller.register(listener.fileno(), select.POLLIN)
        self.poller.register(wake, select.POLLIN)
        self.connections: dict[int, _socket.socket] = {}
        self.waiting: dict[int, int] = {}  # pid -> connection
        self.attached: dict[int, int] = {}  # connection -> pid to hang up

    def step(self) -> None:
        """Wait for one round of events and handle them."""
        for fd, _ in self.poller.poll():
            if fd == self.wake:
                os.read(self.wake, 512)
                self.reap()
            elif fd == self.listener.fileno():
                accepted, _ = self.listener._accept()  # type: ignore[attr-defined]  # stubs lack this half of accept
                self.connections[accepted] = _socket.socket(fileno=accepted)
                self.poller.register(accepted, select.POLLIN)
            elif fd in self.connections:
                self.receive(fd)

    def receive(self, fd: int) -> None:
        room = _socket.CMSG_SPACE(3 * FD_SIZE)
        try:
            flags = _socket.MSG_CMSG_CLOEXEC | _socket.MSG_DONTWAIT
            data, extra, _, _ = self.connections[fd].recvmsg(PACKET, room, flags)
        except BlockingIOError:
            return  # the event was for an older connection of this number
        except OSError:
            data, extra = b"", []
        passed = [n for _, _, raw in extra for n in descriptors(raw)]
        if data == b"ping":
            self.answer(fd, f"pid {os.getpid()}")
        elif data.startswith(b"run\0") and len(passed) == 3:
            self.run(fd, data.split(b"\0")[1:], passed)
        else:
            self.drop(fd)
        for n in passed:
            os.close(n)

    def run(self, fd: int, fields: list[bytes], passed: list[int]) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self.answer(fd, f"error {error.strerror}")
            return
        if pid == 0:
            become(fields, passed)
        self.waiting[pid] = fd
        if fields[0] != b"d":
            self.attached[fd] = pid
        self.answer(fd, f"pid {pid}")

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            fd = self.waiting.pop(pid, None)
            if fd is None:
                continue
            self.attached.pop(fd, None)
            code = os.waitstatus_to_exitcode(status)
            self.answer(fd, f"exit {code}" if code >= 0 else f"signal {-code}")
            self.drop(fd)

    def answer(self, fd: int, text: str) -> None:
        if fd in self.connections:
            try:
                self.connections[fd].send(text.encode(), _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)
            except OSError:
                self.drop(fd)  # the asker is gone: hang up as if it had closed

    def drop(self, fd: int) -> None:
        """Forget a connection and hang up the command that belongs to it."""
        connection = self.connections.pop(fd, None)
        if connection is not None:
            self.poller.unregister(fd)
            connection.close()
        pid = self.attached.pop(fd, None)
        self.waiting = {p: f for p, f in self.waiting.items() if f != fd}
        if pid is not None:
            try:
                os.kill(-pid, _signal.SIGHUP)
            except ProcessLookupError:
                return  # it ended in the same moment


def descriptors(raw: bytes) -> list[int]:
    """The descriptor numbers in a control message."""
    return [int.from_bytes(raw[i : i + FD_SIZE], sys.byteorder) for i in range(0, len(raw), FD_SIZE)]


def become(fields: list[bytes], passed: list[int]) -> None:
    """In the child: turn into the command; never returns."""
    try:
        _signal.set_wakeup_fd(-1)
        for number in USUAL:  # whatever the cloud was started with, say by nohup, is none of the command's business
            _signal.signal(number, _signal.SIG_DFL)
        os.setsid()
        for target, source in enumerate(passed):
            os.dup2(source, target)
        if os.isatty(0):
            import fcntl  # rarely needed, and only in the child
            import termios

            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.chdir(fields[1])
        count = int(fields[2])
        argv, env = fields[3 : 3 + count], fields[3 + count :]
        os.execve(argv[0], argv, dict(pair.split(b"=", 1) for pair in env))  # noqa: S606 - no shell in between
    except BaseException as error:  # noqa: BLE001 - after fork nothing may run on but the exit below
        os.write(2, f"cannot start: {error}\n".encode())
    finally:
        os._exit(127)


def main() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "this kernel has no child subreaper; Linux 3.4 or newer is needed")
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    if os.path.exists("init.sock"):
        os.unlink("init.sock")
    listener.bind("init.sock")
    listener.listen(64)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    _signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    _signal.signal(_signal.SIGCHLD, lambda *_: None)
    os.write(1, b"ok")  # a broken pipe ends us: without a cloud that knows us we must not live
    null = os.open("/dev/null", os.O_RDWR)
    for target in (0, 1):
        os.dup2(null, target)
    init = Init(listener, reading)
    while True:
        init.step()


if __name__ == "__main__":
    main()
