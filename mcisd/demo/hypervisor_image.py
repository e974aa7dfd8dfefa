"""The guests' base image: Debian made by debootstrap once, kept under a key of its recipe. Out: a folder of images.
``python -m mcisd.demo.hypervisor_image`` makes it beforehand.

The folder is what the libvirt driver takes as ``images``: ``debian-12.qcow2``, its kernel and initrd, and
``debian-12.json`` which says how to boot it and who may log in.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from mcisd.demo.engines_process import EngineError
from mcisd.demo.hypervisor_mirror import mirror

ALIAS, SUITE = "debian-12", "bookworm"
GUEST_USER = "debian"
BUILD_TIMEOUT = 900.0
SCRIPT = Path(__file__).with_name("hypervisor_image.sh")
CMDLINE = (
    "root=/dev/vda rw console=ttyS0 quiet loglevel=3 mitigations=off net.ifnames=0 audit=0 nokaslr no_timer_check notsc"
    " clocksource=acpi_pm ds=nocloud"
)
"""On a busy host a guest measures its processor's counter (TSC) wrongly, and its clock runs several times too fast: its
clock is another one. ``ds=nocloud`` lets cloud-init do all in its first stage, before the network is up."""
COUNTED = {
    "Retrieving": "fetching", "Extracting": "unpacking", "Configuring": "setting up", "Unpacking": "unpacking",
    "Setting": "setting up", "Get": "fetching",
}  # fmt: skip
"""How lines of debootstrap and apt begin that come once per package, and what they mean."""
TAIL_LINES = 12

Progress = Callable[[str], None]


def image_cache() -> Path:
    """Where images are kept: ``MCISD_IMAGES_DIR``, else ~/.cache/mcisd/images."""
    named = os.environ.get("MCISD_IMAGES_DIR")
    return Path(named) if named else Path.home() / ".cache" / "mcisd" / "images"


def recipe_key() -> str:
    """Names the recipe: another one gives another image."""
    recipe = "\n".join((SCRIPT.read_text(), ALIAS, SUITE, CMDLINE, GUEST_USER))
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def cached_image() -> Path | None:
    """The folder of images, if it was made before."""
    folder = image_cache() / recipe_key()
    return folder if (folder / f"{ALIAS}.json").is_file() else None


async def base_image(progress: Progress) -> Path:
    """The folder of images; made now if it was not (two to three minutes). EngineError ends with the last lines."""
    cache = image_cache()
    cache.mkdir(parents=True, exist_ok=True)
    async with _alone(cache / "lock", progress):
        found = cached_image()
        if found is not None:
            return found
        _clear(cache)
        key = recipe_key()
        folder = cache / f"making-{os.getpid()}"
        folder.mkdir(mode=0o755)
        try:
            await _make(folder, progress)
            _describe(folder)
            return folder.rename(cache / key)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@asynccontextmanager
async def _alone(path: Path, progress: Progress) -> AsyncIterator[None]:
    """Hold a lock on this file; the kernel gives it back if we are killed."""
    lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress("another program is making the image")
                await asyncio.sleep(0.5)
        yield
    finally:
        os.close(lock)


def _clear(cache: Path) -> None:
    """Remove what builds that were killed have left; only the holder of the lock may."""
    for old in cache.glob("making-*"):
        shutil.rmtree(old, ignore_errors=True)


async def _make(folder: Path, progress: Progress) -> None:
    """Run the script in namespaces that end with it, and it with us."""
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--pid", "--fork"]
    command += ["--kill-child", "--mount-proc", "--", "sh", str(SCRIPT), str(folder), SUITE, mirror()]
    search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, "PATH": search, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None  # noqa: S101 - PIPE was asked for
    told, last = Told(progress), list[str]()
    try:
        async with asyncio.timeout(BUILD_TIMEOUT):
            async for line in process.stdout:
                last = [*last[1 - TAIL_LINES :], line.decode(errors="replace").rstrip()]
                told.line(last[-1])
            code = await process.wait()
    except TimeoutError:
        raise EngineError(
            f"the image was not made within {BUILD_TIMEOUT:g} s; it ended at:\n" + "\n".join(last)
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if code != 0:
        remedy = f"remedy: check that {mirror()} is reached, or set MCISD_DEBIAN_MIRROR"
        raise EngineError(f"the image could not be made ({remedy}); the last lines:\n" + "\n".join(last))


def _describe(folder: Path) -> None:
    """Names as the driver wants them, and the file that says how to boot it; written last, so it means all is there."""
    (folder / "disk.qcow2").rename(folder / f"{ALIAS}.qcow2")
    for name in ("vmlinuz", "initrd"):
        (folder / name).rename(folder / f"{ALIAS}.{name}")
    facts = {
        "guest_user": GUEST_USER, "kernel": f"{ALIAS}.vmlinuz", "initrd": f"{ALIAS}.initrd", "cmdline": CMDLINE,
        "seed": "cloud-init",
    }  # fmt: skip
    (folder / f"{ALIAS}.json").write_text(json.dumps(facts, indent=1) + "\n")


class Told:
    """Turns the script's lines into progress: each "==" line, and packages counted, at most twice a second."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._counts: dict[str, int] = {}
        self._next = 0.0

    def line(self, text: str) -> None:
        """Take one line of output."""
        if text.startswith("== "):
            self._counts.clear()
            self._progress(text.removeprefix("== "))
            return
        first = text.removeprefix("I: ").partition(" ")[0].partition(":")[0]
        if first in COUNTED:
            self._counts[first] = self._counts.get(first, 0) + 1
            if (now := time.monotonic()) >= self._next:
                self._next = now + 0.5
                self._progress(f"{COUNTED[first]} package {self._counts[first]}")


def main() -> int:
    """Make the image if it is not there; 0 if it is there at the end."""
    begun = time.monotonic()
    try:
        folder = asyncio.run(base_image(lambda text: print(f"image: {text}", flush=True)))
    except EngineError as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    print(f"image: {folder} ({time.monotonic() - begun:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
