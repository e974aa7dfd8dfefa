"""One request to InfluxDB in, its answer's bytes out; every trouble becomes a StoreError that names the remedy.

The requests go through influxdb-client's asynchronous client; what they carry is ours.
"""

import asyncio
import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync

from mcisd.aio.clock import Clock
from mcisd.model.errors import StoreError
from mcisd.store.series.influx.options import InfluxOptions

CHUNK = 1 << 18
JSON = "application/json"
LINES = "text/plain; charset=utf-8"
FLUX = "application/vnd.flux"


class RefusedError(StoreError):
    """InfluxDB will never take this as it is; ``status`` is the HTTP status."""

    retriable = False

    def __init__(self, message: str, status: int, *, field: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message, field=field, remedy=remedy)
        self.status = status


class InfluxHttp:
    """The client, made at the first request so that it belongs to the loop that uses it."""

    def __init__(self, options: InfluxOptions, clock: Clock) -> None:
        self.options = options
        self._clock = clock
        self._client: Any = None  # an InfluxDBClientAsync, which is only partly annotated
        self._closed = False

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        *,
        kind: str = JSON,
        timeout: float = 15.0,
    ) -> bytes:
        """The body of the answer. ``body`` is bytes, or what JSON can hold. StoreError on all other ends."""
        if self._closed:
            raise StoreError("the time series are closed", remedy="this is a fault of the program: report it")
        if self._client is None:
            self._client = self._connect()
        headers = {"Content-Type": kind, "Accept-Encoding": "identity", "Accept": "*/*"}
        try:
            async with asyncio.timeout(timeout):
                response: aiohttp.ClientResponse = await self._client.api_client.call_api(
                    path,
                    method,
                    query_params=list((query or {}).items()),
                    header_params=headers,
                    body=body,
                    _preload_content=False,
                )
                async with response:
                    answer = await self._read(response)
        except TimeoutError:
            raise StoreError(
                f"InfluxDB at {self.options.url} did not answer within {timeout:g} s",
                remedy="see whether it is overloaded",
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise StoreError(
                f"InfluxDB at {self.options.url} cannot be reached: {str(error) or type(error).__name__:.200}",
                field="store.series_url",
                remedy="start it, or correct the address",
            ) from None
        if not 200 <= response.status <= 299:
            raise self._refusal(response, answer)
        return answer

    async def close(self) -> None:
        self._closed = True
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _connect(self) -> InfluxDBClientAsync:
        options = self.options
        return InfluxDBClientAsync(
            url=options.url,
            token=options.token,
            org=options.org,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=options.connect_timeout_s),
            connection_pool_maxsize=2 * options.in_flight + 2,
            allow_redirects=False,
        )

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_chunked(CHUNK):
            size += len(part)
            if size > self.options.answer_bytes:
                response.close()
                remedy = "ask for a shorter span, a larger step or fewer VMs"
                raise RefusedError(
                    f"InfluxDB's answer is larger than {self.options.answer_bytes} bytes", 413, remedy=remedy
                )
            parts.append(part)
        return b"".join(parts)

    def _refusal(self, response: aiohttp.ClientResponse, answer: bytes) -> StoreError:
        status, words, options = response.status, _words(answer), self.options
        if status in (401, 403):
            return StoreError(
                f"InfluxDB refuses the token: {words}",
                field="store.series_token_file",
                remedy=f"put a token that may read and write everything of organization {options.org} into this file",
            )
        if status == 404 and "organization" in words:
            remedy = "make it, or correct the setting"
            return StoreError(f"InfluxDB has no organization {options.org}", field="store.series_org", remedy=remedy)
        if status == 404:
            remedy = "start the daemon again, it makes its buckets; or correct the setting"
            return StoreError(f"InfluxDB does not find it: {words}", field="store.series_bucket", remedy=remedy)
        if status in (400, 413, 422):
            return RefusedError(words, status)
        wait = retry_after(response.headers.get("Retry-After", ""), self._clock.now())
        remedy = "it will be tried again" if status in (429, 503) else "see InfluxDB's log"
        return StoreError(f"InfluxDB answered {status}: {words}", remedy=remedy, retry_after=wait)


def retry_after(text: str, now: float) -> float | None:
    """Seconds to wait, from the header's number or date; None where it says nothing."""
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except ValueError:
        return None


def _words(answer: bytes) -> str:
    """InfluxDB's own message, made short."""
    text = answer[:4096].decode("utf-8", "replace")
    try:
        found = json.loads(answer)
    except ValueError:
        found = None
    if isinstance(found, dict) and isinstance(found.get("message"), str):
        text = found["message"]
    return " ".join(text.split())[:400] or "no reason given"
