"""A real hypervisor on this machine without a trace on it: libvirtd and qemu in namespaces of their own.

In: root's rights and Debian's packages. Out: a libvirt URI, and the network in which guests can be reached. The host's
network cards, firewall rules and services stay as they are. When it ends (in order, or with whoever started it, even by
``kill -9``) the kernel ends its guests and takes away its network and mounts; a folder left behind then is removed by
the next start.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import platform
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from mcisd.demo.engines_process import EngineError, ServerProcess, run_once

ADDRESS = "198.18.0.1"
"""This side as the guests see it (RFC 2544: addresses that no network uses); it is on the namespace's ``lo``."""
START_TIMEOUT = 60.0
PREFIX = "mcisd-hypervisor-"
MAKING = 60.0
"""Seconds a folder may be without its lock before it counts as left behind."""
CLONE_NEWNET = 0x40000000
PROGRAMS = {
    "libvirtd": "libvirt-daemon", "virsh": "libvirt-clients", "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils", "dnsmasq": "dnsmasq-base", "iptables": "iptables", "ip": "iproute2",
    "unshare": "util-linux", "debootstrap": "debootstrap", "mkfs.ext4": "e2fsprogs",
}  # fmt: skip
FILES = {
    "lib/*/libvirt/connection-driver/libvirt_driver_qemu.so": "libvirt-daemon-driver-qemu",
    "share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
NOTE = "mcisd-ended-"
"""How the driver names what it remembers of a terminated VM for a while: a definition that is never started."""
SCRIPT = Path(__file__).with_name("hypervisor_ground.sh")
QEMU = """\
user = "root"
group = "root"
security_driver = "none"
stdio_handler = "file"
remember_owner = 0
namespaces = []
cgroup_controllers = []
"""


def missing_hypervisor() -> list[str]:
    """What keeps a hypervisor from running here, each with its remedy; empty if nothing does."""
    found: list[str] = []
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        found.append("it runs on Linux on x86_64 only")
    if os.geteuid() != 0:
        found.append("it needs namespaces, so root's rights: run it with sudo")
    lacking = sorted({package for program, package in PROGRAMS.items() if not which(program)} | _files())
    if lacking:
        found.append(f"apt-get install --no-install-recommends {' '.join(lacking)}")
    if find_spec("libvirt") is None:
        found.append("the Python package libvirt-python: run tools/libvirt.sh")
    return found


def which(program: str) -> str | None:
    """Path of a program, also of one that only root has in its search path."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def _files() -> set[str]:
    """Packages without a program that are lacking."""
    return {package for pattern, package in FILES.items() if not any(Path("/usr").glob(pattern))}


@dataclass(slots=True)
class Hypervisor:
    """One libvirtd. Use ``start``; ``images`` is the folder of base images that its driver is told of."""

    folder: Path
    images: Path
    _process: ServerProcess
    _lock: int = field(repr=False)

    @classmethod
    async def start(cls, images: Path, cache: Path) -> "Hypervisor":
        """A hypervisor that answers. ``cache`` keeps what libvirt found out about qemu: 8 s the first time."""
        remove_leftovers()
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        _configure(folder, cache)
        command = ["unshare", "--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        command += ["--mount-proc", "--", "sh", str(SCRIPT), str(folder), ADDRESS]
        search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        process = ServerProcess("libvirtd", command, folder / "libvirtd.log", environment={"PATH": search})
        found = cls(folder, images, process, lock)
        try:
            await process.start(found._answers, START_TIMEOUT)
            target = folder / "pool"
            await found.virsh("pool-create-as", "default", "dir", "--target", str(target))
        except BaseException:
            await found.stop()
            raise
        return found

    @property
    def uri(self) -> str:
        return f"qemu:///system?socket={self.folder}/run/libvirt-sock"

    @property
    def running(self) -> bool:
        return self._process.running

    @property
    def command(self) -> list[str]:
        """The words before a command that let it run in the guests' network."""
        return ["nsenter", f"--net=/proc/{self._process.pid}/ns/net", "--"]

    def enter(self) -> None:
        """Move this thread, and what it starts from now on, into the guests' network. There is no way back."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/proc/{self._process.pid}/ns/net").open("rb") as place:
            if libc.setns(place.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "the guests' network cannot be entered")

    async def virsh(self, *words: str) -> str:
        """What the hypervisor's own command line tool answers; EngineError if it fails."""
        return await run_once(f"virsh {words[0]}", ["virsh", "--quiet", "--connect", self.uri, *words])

    async def left(self) -> dict[str, list[str]]:
        """What is at the hypervisor, as it tells itself. (The driver's notes of VMs that ended are no machines.)"""
        volumes = (await self.virsh("vol-list", "default")).splitlines()
        domains = (await self.virsh("list", "--all", "--name")).split()
        return {
            "domains": [name for name in domains if not name.startswith(NOTE)],
            "networks": (await self.virsh("net-list", "--all", "--name")).split(),
            "volumes": [line.split()[0] for line in volumes if line.strip()],
            "guests": self.guests(),
        }

    def guests(self) -> list[str]:
        """Process ids of guests: QEMUs in this hypervisor's network."""
        here = Path(f"/proc/{self._process.pid}/ns/net").readlink()
        return [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_guest(entry, here)]

    async def stop(self) -> None:
        """End it with all its guests; its folder goes."""
        self._process.kill()
        for _ in range(20):
            await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
            if not self.folder.exists():
                break
            await asyncio.sleep(0.1)  # the last of its processes is about to end
        with contextlib.suppress(OSError):  # closed before
            os.close(self._lock)

    async def _answers(self) -> bool:
        if not (self.folder / "run" / "libvirt-sock").exists():
            return False
        try:
            await self.virsh("version")
        except EngineError:
            return False
        return True


def _configure(folder: Path, cache: Path) -> None:
    folder.chmod(0o755)
    for name in ("etc", "var", "log", "run", "pool"):
        (folder / name).mkdir()
    cache.mkdir(parents=True, exist_ok=True)
    (folder / "cache").symlink_to(cache)
    (folder / "etc" / "qemu.conf").write_text(QEMU)
    text = f'unix_sock_dir = "{folder}/run"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n'
    (folder / "libvirtd.conf").write_text(text)


def remove_leftovers() -> list[Path]:
    """Remove the folders of hypervisors that were killed; those whose lock is held are in use. Returns the removed."""
    removed = []
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if _abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def _abandoned(folder: Path) -> bool:
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        with contextlib.suppress(FileNotFoundError):  # its owner removed it in this moment
            return time.time() - folder.stat().st_mtime > MAKING
        return False
    except OSError:
        return False  # another user's
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _is_guest(process: Path, network: Path) -> bool:
    try:
        return (process / "ns" / "net").readlink() == network and (process / "comm").read_text().startswith("qemu")
    except OSError:
        return False  # it ended in this moment
