"""Telling systemd how we are (sd_notify), where it listens; nothing happens elsewhere."""

import asyncio
import os
import socket

from mcisd.aio.clock import Clock


def notify(state: str) -> bool:
    """Send one line such as ``READY=1``; False where no service manager listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.settimeout(1.0)
        link.sendto(state.encode(), address)
    return True


async def watchdog(clock: Clock) -> None:
    """``WATCHDOG=1`` at half the interval systemd asks for: a blocked loop stops sending, and is restarted."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit():
        await asyncio.Event().wait()
    while True:
        notify("WATCHDOG=1")
        await clock.sleep(int(microseconds) / 2e6)
