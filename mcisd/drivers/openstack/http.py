"""One request over one aiohttp session. In: method, URL, body. Out: the answer, or our error why there was none."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from mcisd.drivers.openstack.settings import wrong
from mcisd.drivers.wire import sent
from mcisd.model.errors import CloudInvalidError, CloudTimeoutError, CloudTransientError

CONNECTIONS = 32
TIMEOUT = aiohttp.ClientTimeout(total=120.0, sock_connect=15.0)
"""The gate above has shorter limits of its own; this one is for those who call the driver without it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is the decoded JSON, None where there is none."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Http:
    """Owner of the session; it is opened by the first request."""

    def __init__(self, ca_file: str = "") -> None:
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    async def ask(
        self,
        operation: str,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: object | None = None,
    ) -> Answer:
        """The answer, of whatever status. ``operation`` names the request for the records; it holds no ids."""
        session = await self._opened()
        data = None if body is None else json.dumps(body).encode()
        kind = {"Accept": "application/json", **({"Content-Type": "application/json"} if data is not None else {})}
        host = URL(url).host
        sent(operation)
        try:
            async with session.request(
                method, URL(url), params=params, data=data, headers={**kind, **(headers or {})}, allow_redirects=False
            ) as answer:
                return Answer(answer.status, answer.headers, _decoded(await answer.read()))
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise CloudInvalidError(
                f"the certificate of {host} cannot be trusted ({type(error).__name__})",
                remedy="give the authority that signed it as ca_file in the region's values; check this host's clock",
            ) from error
        except TimeoutError as error:
            raise CloudTimeoutError(f"{operation}: {host} gave no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise CloudTransientError(
                f"{operation}: no connection to {host}, or it broke ({type(error).__name__})"
            ) from error

    async def close(self) -> None:
        """Close the session. Safe to call twice."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _opened(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._closed:
                raise CloudTransientError("the connection is closed")
            if self._session is None:
                context = await asyncio.to_thread(_context, self._ca_file)
                self._session = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=context),
                    timeout=TIMEOUT,
                    headers={"User-Agent": "mcisd"},
                )
            return self._session


def _context(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise wrong(
            "ca_file",
            f"{ca_file[:120]!r} cannot be used ({type(error).__name__})",
            "give a PEM file on the daemon's host",
        ) from error


def _decoded(data: bytes) -> Any:
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError:  # an error page of a proxy, say
        return None
