"""The one place that speaks to AWS's library. In: an operation's name and parameters. Out: its answer, or our errors.

One client per service is opened when first needed and kept, with its connections, until ``close``. The library's own
retries are off; each request is told to ``wire.sent``.
"""

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Any, cast

import aiohttp

from mcisd.drivers.aws import credentials
from mcisd.drivers.aws.errors import answered, broken
from mcisd.drivers.libraries import library
from mcisd.drivers.wire import sent
from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import CloudInvalidError, CloudTransientError

Document = dict[str, Any]
PRICES_REGION = "us-east-1"
SOCKETS = 32
MOST_PAGES = 500


class Models:
    """The library's descriptions of services, read once for all connections: they take a second and ten megabytes."""

    def __init__(self) -> None:
        self._loader: Any = None
        self._turn = threading.Lock()

    async def warm(self, session: Any, service: str) -> None:
        """Let ``session`` use the common descriptions; that of ``service`` is read in a thread."""
        loaders = await library("botocore.loaders", "aws")
        await asyncio.to_thread(self._read, loaders, service)
        session.register_component("data_loader", self._loader)

    def _read(self, loaders: ModuleType, service: str) -> None:
        with self._turn:
            if self._loader is None:
                self._loader = loaders.create_loader()
            self._loader.load_service_model(service, "service-2")
            self._loader.load_service_model(service, "endpoint-rule-set-1")
            self._loader.load_data("endpoints")
            self._loader.load_data("partitions")


class Link:
    """All clients of one connection."""

    def __init__(self, spec: ConnectionSpec, models: Models) -> None:
        self._spec = spec
        self._models = models
        self._session: Any = None
        self._clients: dict[str, Any] = {}
        self._stack = contextlib.AsyncExitStack()
        self._turn = asyncio.Lock()
        self._closed = False
        self._refusal: Any = None
        self._failures: tuple[type[Exception], ...] = ()

    async def ask(
        self, service: str, operation: str, parameters: Mapping[str, Any], absorb: Collection[str] = ()
    ) -> Document | None:
        """The answer to one request; None if AWS refused it with a code of ``absorb``. Raises CloudError and below."""
        if not self._failures:
            exceptions, parsers = await library("botocore.exceptions", "aws"), await library("botocore.parsers", "aws")
            self._refusal = exceptions.ClientError
            self._failures = (exceptions.BotoCoreError, parsers.ResponseParserError, aiohttp.ClientError, OSError)
        try:
            client = await self._client(service)
            return cast(Document, await getattr(client, method_of(operation))(**parameters))
        except self._refusal as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in absorb:
                return None
            raise _judged(error, code) from None
        except self._failures as error:
            raise broken(operation, error) from None

    async def pages(self, service: str, operation: str, key: str, parameters: Mapping[str, Any]) -> list[Document]:
        """The items under ``key`` of all pages."""
        items: list[Document] = []
        asked = dict(parameters)
        for _ in range(MOST_PAGES):
            page = await self.ask(service, operation, asked) or {}
            items += page.get(key, [])
            token = page.get("NextToken")
            if not token:
                return items
            asked["NextToken"] = token
        raise CloudTransientError(f"AWS answers {operation} with more than {MOST_PAGES} pages")

    async def close(self) -> None:
        self._closed = True
        async with self._turn:
            self._clients.clear()
            await self._stack.aclose()

    async def _client(self, service: str) -> Any:
        client = self._clients.get(service)
        if client is not None:
            return client
        async with self._turn:
            if self._closed:
                raise CloudTransientError("the connection to AWS is closed")
            if service not in self._clients:
                self._clients[service] = await self._open(service)
            return self._clients[service]

    async def _open(self, service: str) -> Any:
        with _endpoint_named(self._spec, service):
            if self._session is None:
                made = await credentials.session(self._spec)
                made.register("before-send", _told)
                await self._models.warm(made, "sts")
                await credentials.assume(made, self._spec, await self._options("sts"))
                self._session = made
            await self._models.warm(self._session, service)
            opening = self._session.create_client(service, **await self._options(service))
            return await self._stack.enter_async_context(opening)

    async def _options(self, service: str) -> Document:
        """What every client is made with."""
        config = await library("aiobotocore.config", "aws")
        info = self._spec.region_info
        settings = config.AioConfig(
            retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60, max_pool_connections=SOCKETS,
            user_agent_extra="mcisd",
        )  # fmt: skip
        region = PRICES_REGION if service == "pricing" else self._spec.region
        options: Document = {"region_name": region, "config": settings}
        endpoint = info.get(f"endpoint_{service.replace('-', '_')}") or info.get("endpoint")
        if endpoint:
            options["endpoint_url"] = endpoint
        if info.get("ca_file"):
            options["verify"] = info["ca_file"]
        return options


@contextlib.contextmanager
def _endpoint_named(spec: ConnectionSpec, service: str) -> Iterator[None]:
    """The library answers an endpoint that is no address with a bare ValueError."""
    try:
        yield
    except ValueError as error:
        raise CloudInvalidError(
            f"the endpoint for {service} or the region {spec.region[:40]!r} is no address ({type(error).__name__})",
            field="endpoint",
            remedy="write the endpoint as https://host:port, and the region as AWS names it",
        ) from None


def _told(event_name: str, **_: Any) -> None:
    """The library is about to put a request on the wire; ``event_name`` is before-send.<service>.<Operation>."""
    sent(event_name.rpartition(".")[2])


def method_of(operation: str) -> str:
    """The client's name for an operation: DescribeVpcs → describe_vpcs."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()


def _judged(error: Any, code: str) -> Exception:
    response = error.response
    meta = response.get("ResponseMetadata", {})
    headers: Mapping[str, str] = meta.get("HTTPHeaders", {})
    pause = headers.get("retry-after", "")
    return answered(
        str(error.operation_name),
        code,
        str(response.get("Error", {}).get("Message", "")),
        int(meta.get("HTTPStatusCode", 0)),
        skew=skew_of(headers.get("date", "")),
        retry_after=float(pause) if pause.isdigit() else None,
    )


def skew_of(date: str) -> float | None:
    """Seconds by which this machine's clock is ahead of the answer's date; None if that is no date."""
    try:
        return time.time() - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
