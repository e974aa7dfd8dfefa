"""The thin edge to Azure's library: one set of sockets, three clients, one credential, our errors.

In: settings, and calls of the library's operations. Out: plain JSON objects, or errors of our tree. The library's own
retries, logging and registration of services are left out of the pipeline: the gate above does what is needed.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp

from mcisd.drivers.azure.access import operation
from mcisd.drivers.azure.errors import error_of, fault_of, login_error
from mcisd.drivers.azure.lro import Operation
from mcisd.drivers.azure.settings import Settings
from mcisd.drivers.libraries import library
from mcisd.drivers.wire import sent
from mcisd.model.errors import (
    CloudAuthError,
    CloudError,
    CloudInvalidError,
    CloudTimeoutError,
    CloudTransientError,
)

Json = dict[str, Any]
WAIT = 40.0
"""Seconds an operation is waited for that the next step needs; a second try goes on from there."""
PAGES = 500
"""Pages of one list that are read at most."""


class Wire:
    """The last policy of a pipeline: tells what goes over the wire."""

    next: Any = None

    async def send(self, request: Any) -> Any:
        sent(operation(request.http_request.method, request.http_request.url))
        return await self.next.send(request)


class Session:
    """Clients ``compute``, ``network`` and ``resource``; ``web`` for what is not the resource manager's."""

    def __init__(self, settings: Settings, web: aiohttp.ClientSession, credential: Any, clients: list[Any]) -> None:
        self.settings = settings
        self.web = web
        self._credential = credential
        self._clients = clients
        self.compute, self.network, self.resource = clients

    async def close(self) -> None:
        for part in (*self._clients, self._credential):
            await part.close()
        await self.web.close()

    async def get(self, call: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Json:
        """The body of one answer."""
        with azure_words():
            body: Json = await call(*args, cls=_raw, **options)
            return body

    async def done(self, call: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> None:
        """A call whose answer has no body."""
        with azure_words():
            await call(*args, **options)

    async def change(self, begin: Callable[..., Awaitable[Any]], *args: Any, wait: float = 0.0, **options: Any) -> Json:
        """Begin an operation and wait at most ``wait`` seconds for its end; the body of the first answer."""
        polling = Operation(wait, self.settings.polling_interval)
        with azure_words():
            poller = await begin(*args, polling=polling, **options)
            body: Json = await poller.result()
            return body

    async def pages(self, call: Callable[..., Any], *args: Any, **options: Any) -> list[Json]:
        """All items of a list, all pages."""
        with azure_words():
            found: list[Json] = []
            pages = 0
            async for page in call(*args, **options).by_page():
                found += [_plain(item) async for item in page]
                pages += 1
                if pages >= PAGES:
                    raise CloudInvalidError(f"a list of Azure has more than {PAGES} pages")
            return found

    async def items(self, call: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> list[Json]:
        """The items of an answer that is a bare JSON array."""
        with azure_words():
            found: list[Json] = await call(*args, cls=_raw, **options)
            return found

    async def ask(self, url: str) -> Json:
        """GET a path of the resource manager for which the library has no method."""
        from azure.core.rest import HttpRequest

        with azure_words():
            answer = await self.compute.send_request(HttpRequest("GET", self.settings.endpoint + url))
            if answer.status_code != 200:
                raise error_of(fault_of(answer.status_code, answer.text(), answer.headers, time.time()))
            body: Json = answer.json()
            return body

    @asynccontextmanager
    async def fetch(self, url: str, seconds: float = 30.0) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET an address without credential; its text may hold a signature, so errors never name it."""
        sent(operation("GET", url))
        try:
            async with self.web.get(url, timeout=aiohttp.ClientTimeout(total=seconds)) as answer:
                yield answer
        except TimeoutError as error:
            raise CloudTimeoutError(f"Azure gave no answer within {seconds:.0f} s") from error
        except aiohttp.ClientError as error:
            raise _broken(error) from None

    async def tail(self, url: str, size: int) -> str:
        """The last ``size`` bytes at a signed address, as text; "" if nothing is there yet."""
        kept = b""
        async with self.fetch(url) as answer:
            if answer.status == 404:
                return ""
            if answer.status != 200:
                raise CloudTransientError(f"the storage of the console answered with status {answer.status}")
            async for chunk in answer.content.iter_chunked(size):
                kept = (kept + chunk)[-size:]
        return kept.decode(errors="replace")


async def open_session(settings: Settings) -> Session:
    """Load the library and make the clients; nothing is sent yet."""
    compute = await library("azure.mgmt.compute.aio", "azure")
    network = await library("azure.mgmt.network.aio", "azure")
    resource = await library("azure.mgmt.resource.resources.aio", "azure")
    policies = await library("azure.core.pipeline.policies", "azure")
    arm = await library("azure.mgmt.core.policies", "azure")
    transports = await library("azure.core.pipeline.transport", "azure")
    trust = await asyncio.to_thread(_trust, settings.ca_file)
    connector = aiohttp.TCPConnector(ssl=trust, limit=32)
    web = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=True)
    web._retry_connection = False  # aiohttp would send a PUT again by itself when its connection breaks
    transport = transports.AioHttpTransport(
        session=web, session_owner=False, connection_timeout=10.0, read_timeout=60.0
    )
    agent, decode = policies.UserAgentPolicy(base_user_agent="mcisd"), policies.ContentDecodePolicy()
    common = [policies.HeadersPolicy(), agent, decode]
    never = policies.AsyncRetryPolicy(retry_total=0)  # it takes away options that the credential gives it
    try:
        credential = await _credential(settings, transport, [*common, never, Wire()])
    except BaseException:
        await web.close()
        raise
    options: Json = {
        "base_url": settings.endpoint,
        "credential_scopes": [settings.scope],
        "polling_interval": settings.polling_interval,
        "transport": transport,
    }

    def client(kind: Any) -> Any:
        login = arm.AsyncARMChallengeAuthenticationPolicy(credential, settings.scope)
        return kind(credential, settings.subscription, policies=[*common, login, Wire()], **options)

    kinds = (compute.ComputeManagementClient, network.NetworkManagementClient, resource.ResourceManagementClient)
    return Session(settings, web, credential, [client(kind) for kind in kinds])


async def _credential(settings: Settings, transport: Any, policies: list[Any]) -> Any:
    identity = await library("azure.identity.aio", "azure")
    options: Json = {"transport": transport, "policies": policies}
    if not settings.client_secret:
        return identity.ManagedIdentityCredential(client_id=settings.client_id or None, **options)
    try:
        return identity.ClientSecretCredential(
            settings.tenant, settings.client_id, settings.client_secret, authority=settings.authority, **options
        )
    except ValueError:
        raise CloudAuthError(
            "tenant_id is not a tenant's id or domain", field="tenant_id", remedy="copy it from the Azure portal"
        ) from None


def _trust(ca_file: str) -> ssl.SSLContext:
    """The system's certificates, and those of ``ca_file``."""
    context = ssl.create_default_context()
    try:
        if ca_file:
            context.load_verify_locations(cafile=ca_file)
        return context
    except OSError as error:
        raise CloudInvalidError(
            f"ca_file cannot be read: {type(error).__name__}", field="ca_file", remedy="give a file of PEM certificates"
        ) from error


@contextmanager
def azure_words() -> Iterator[None]:
    """Turn what the library raises into our errors; its texts are kept only where Azure wrote them."""
    from azure.core import exceptions as kinds
    from azure.identity import CredentialUnavailableError

    try:
        yield
    except CloudError:
        raise
    except CredentialUnavailableError as error:
        raise CloudAuthError(
            "this machine offers no managed identity",
            field="managed_identity",
            remedy="run mcisd on an Azure VM with an identity, or use a service principal",
        ) from error
    except kinds.HttpResponseError as error:
        raise _answered(error) from None
    except (kinds.ServiceRequestTimeoutError, kinds.ServiceResponseTimeoutError) as error:
        raise CloudTimeoutError("Azure gave no answer in time") from error
    except kinds.AzureError as error:
        raise _broken(error) from None
    except aiohttp.ClientError as error:  # while a body is read
        raise _broken(error) from None
    except ValueError as error:
        raise CloudTransientError(f"an answer of Azure could not be read: {type(error).__name__}") from error


def _answered(error: Any) -> CloudError:
    """Our error for an answer with a status of failure, from the resource manager or the token service."""
    response = error.response
    if response is None:
        return login_error(401, str(error), None)
    fault = fault_of(response.status_code, _text(response), response.headers, time.time())
    if "/oauth2/" in str(response.request.url):
        return login_error(response.status_code, fault.message or str(error), fault)
    return error_of(fault)


def _text(response: Any) -> str:
    try:
        return str(response.text())
    except Exception:  # noqa: BLE001 - the library has many; a body that cannot be read says nothing
        return ""


def _broken(error: BaseException) -> CloudError:
    """Our error for a connection that failed: what lies at its root."""
    roots, seen = error, 0
    while roots is not None and seen < 10:
        if isinstance(roots, ssl.SSLCertVerificationError):
            return CloudInvalidError(
                f"Azure's certificate cannot be trusted: {getattr(roots, 'verify_message', 'verification failed')}",
                field="endpoint",
                remedy="check endpoint and authority; for a certificate of your own authority set ca_file",
            )
        inner = getattr(roots, "inner_exception", None) or getattr(roots, "certificate_error", None)
        roots, seen = inner or roots.__cause__ or roots.__context__, seen + 1  # type: ignore[assignment]
    return CloudTransientError(f"the connection to Azure failed: {type(error).__name__}")


def _raw(response: Any, _value: Any, _headers: Any) -> Any:
    """Given to the library as ``cls``: the body as it is."""
    return response.http_response.json()


def _plain(item: Any) -> Json:
    """A model of a list as the JSON object it was."""
    return dict(item.as_dict())
