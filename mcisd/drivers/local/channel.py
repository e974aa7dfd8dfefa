"""The driver's line to the cloud: one HTTP session on its Unix socket. In: operation, arguments. Out: documents.

Starts the cloud where none runs. Raises CloudError and below only; timeouts and retries are the caller's.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import aiohttp

from mcisd.drivers.local.errors import from_document
from mcisd.drivers.local.settings import SOCKET_NAME, START_TIMEOUT
from mcisd.drivers.wire import sent
from mcisd.model.errors import CloudTimeoutError, CloudTransientError, CloudUnsupportedError

_LAST_RESORT = aiohttp.ClientTimeout(total=60.0)
_BAD = 400


class CloudChannel:
    """A session with the cloud in ``home`` for one account and region."""

    def __init__(self, home: Path, region: str, account: str, secret: str, options: tuple[str, ...] = ()) -> None:
        self._home = home
        self._region = region
        self._options = options
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(home / SOCKET_NAME)),
            headers={"X-Cloud-Account": account, "X-Cloud-Secret": secret},
            timeout=_LAST_RESORT,
        )

    async def call(self, operation: str, arguments: dict[str, Any]) -> Any:
        """One operation of the cloud; starts the cloud first where none answers."""
        try:
            return await self._post(operation, arguments)
        except aiohttp.ClientConnectorError:
            await ensure_running(self._home, self._options)
        except (aiohttp.ClientError, ValueError) as error:
            raise CloudTransientError("the local cloud ended in the middle of an answer") from error
        except TimeoutError as error:
            raise CloudTimeoutError("the local cloud did not answer in time") from error
        try:
            return await self._post(operation, arguments)
        except (aiohttp.ClientError, ValueError, TimeoutError) as error:
            raise CloudTransientError("the local cloud does not answer") from error

    async def close(self) -> None:
        await self._session.close()

    async def _post(self, operation: str, arguments: dict[str, Any]) -> Any:
        sent(operation)
        url = f"http://localhost/v1/{self._region}/{operation}"
        async with self._session.post(url, data=json.dumps(arguments)) as answer:
            document = json.loads(await answer.read())
            if answer.status >= _BAD:
                raise from_document(answer.status, document)
            return document


async def ensure_running(home: Path, options: tuple[str, ...] = ()) -> None:
    """Start the cloud in ``home`` detached from us and wait until it answers; at once if it runs already."""
    if sys.platform != "linux":
        raise CloudUnsupportedError("the local cloud needs Linux")
    if await _answers(home):
        return
    program = [sys.executable, "-m", "mcisd.drivers.local.cloud", "--home", str(home), "--background", *options]
    starter = await asyncio.create_subprocess_exec(
        *program,
        env=_environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(START_TIMEOUT + 5.0):
            _, trouble = await starter.communicate()
    except TimeoutError as error:
        raise CloudTimeoutError("the local cloud did not start in time") from error
    finally:
        if starter.returncode is None:
            starter.kill()
            await starter.wait()
    if starter.returncode != 0:
        raise CloudTransientError(trouble.decode(errors="replace").strip()[-300:] or "the local cloud did not start")


def _environment() -> dict[str, str]:
    """Ours, with the place this package was loaded from, which a fresh interpreter elsewhere may not know."""
    root = str(Path(__file__).parents[3])
    known = os.environ.get("PYTHONPATH", "")
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(filter(None, (known, root)))}


async def _answers(home: Path) -> bool:
    """Whether somebody listens on the cloud's socket; a cloud that died leaves a socket that refuses."""
    try:
        async with asyncio.timeout(START_TIMEOUT):
            _, writer = await asyncio.open_unix_connection(str(home / SOCKET_NAME))
    except (OSError, TimeoutError):
        return False
    writer.close()
    await writer.wait_closed()
    return True
