"""`mcisd demo --libvirt`: the private cloud's story. In: what this machine has. Out: a hypervisor, a daemon, the story.

The daemon runs in the guests' network, as it would in a machine room; a door lets this host's browser in.
"""

from contextlib import AsyncExitStack
from pathlib import Path

from mcisd.demo import hypervisor_scenes as scenes
from mcisd.demo.engines_process import EngineError
from mcisd.demo.hypervisor import ADDRESS, Hypervisor, missing_hypervisor
from mcisd.demo.hypervisor_alarm import alarm
from mcisd.demo.hypervisor_door import Door
from mcisd.demo.hypervisor_image import ALIAS, base_image, cached_image, image_cache
from mcisd.demo.process import DaemonProcess
from mcisd.demo.show import Show
from mcisd.demo.telling import StepFailedError, Teller

INTRO = """mcisd: a private cloud. libvirt and QEMU, both real, start a real VM (Debian 12, a kernel of its own) on this
machine, in software emulation and a network of its own. Beside it: two VMs of the driver "local" in the same MCIS."""


def missing() -> str:
    """What keeps it from running here, in one line with the remedies; empty if nothing does."""
    return "; ".join(missing_hypervisor())


async def prepare(home: Path, tell: Teller, stack: AsyncExitStack) -> tuple[Hypervisor, DaemonProcess]:
    """Image, hypervisor and a daemon (not started yet) in its network, where this program is from now on, too."""
    tell.part("Hypervisor")
    door = Door()
    stack.push_async_callback(door.close)
    try:
        images = await _image(tell)
        with tell.step("hypervisor", "hypervisor started") as step:
            hypervisor = await Hypervisor.start(images, image_cache() / "libvirt")
            stack.push_async_callback(hypervisor.stop)
            versions = dict(
                line.split(": ", 1) for line in (await hypervisor.virsh("version")).splitlines() if ": " in line
            )
            step.text = f"hypervisor started: {versions['Using library']}, {versions['Running hypervisor']}"
            hypervisor.enter()
    except (EngineError, OSError) as error:
        raise StepFailedError("a hypervisor", error) from None
    await door.open("127.0.0.1", door.port)
    return hypervisor, DaemonProcess(home, door.port, ADDRESS)


async def _image(tell: Teller) -> Path:
    known = cached_image()
    with tell.step("image", f"base image {ALIAS} (made once; minutes)") as step:
        images = await base_image(lambda text: tell.note(f"base image {ALIAS}: {text}"))
        step.text = f"base image {ALIAS} {'from the cache' if known else 'made'}: {images}"
    return images


async def story(show: Show, hypervisor: Hypervisor) -> None:
    """The story, in order."""
    guest = scenes.Guest()
    show.tell.part("Launch")
    await scenes.connect(show, hypervisor)
    await scenes.launch(show, guest)
    show.tell.part("Alarm")
    await alarm(show)
    show.tell.part("Life cycle and faults")
    await scenes.control(show, hypervisor, guest)
    await scenes.intrude(show)
    show.tell.part("Take down")
    await scenes.take_down(show, hypervisor)
