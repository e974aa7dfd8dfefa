"""The thin edge to Google's libraries: the only module that imports them, itself imported with the first connection.

In: a method's name and its parameters as JSON. Out: the answer as JSON, or an error of our tree. Everything here
blocks; api.py calls it in threads. The libraries' own retries are off: each request is sent once.
"""

# mypy: allow-untyped-calls
# google-auth says that it is typed, but most of its functions have no annotations.

import json
import logging
import threading
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import google.auth
import requests
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPICallError
from google.auth import exceptions as auth_errors
from google.auth.credentials import Credentials
from google.auth.transport.requests import AuthorizedSession, Request
from google.cloud import compute_v1
from google.oauth2 import credentials as token_credentials
from google.oauth2 import service_account
from google.protobuf.json_format import ParseError  # type: ignore[import-untyped]  # it has neither annotations nor stubs

from mcisd.drivers.gcp import faults
from mcisd.drivers.gcp.methods import METHODS
from mcisd.drivers.wire import sent
from mcisd.model.errors import CloudAuthError, CloudError, CloudInvalidError, CloudTimeoutError, CloudTransientError

Json = dict[str, Any]
T = TypeVar("T")
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
TIMEOUT = 20.0
logging.getLogger("google").setLevel(logging.INFO)  # its debug lines hold whole requests: host keys, tokens
LONG_AGO = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)  # as google-auth keeps times


class Account:
    """Who we are at Google, and the access token that goes with it; may be used from many threads."""

    def __init__(self, credentials: Any, project: str) -> None:
        self.credentials = credentials
        self.project = project
        self._lock = threading.Lock()
        self._session = requests.Session()

    def admit(self) -> None:
        """Get an access token if there is none that is still good; CloudAuthError if Google gives none."""
        with self._lock:
            if self.credentials.valid:
                return
            self.credentials.refresh(self._ask)

    def _ask(self, *arguments: Any, **more: Any) -> Any:
        """One request of google-auth for a token, with a time limit, and with no second try of its own."""
        sent("oauth2.token")
        more["timeout"] = min(more.get("timeout") or TIMEOUT, TIMEOUT)
        answer = Request(session=self._session)(*arguments, **more)
        if answer.status in (408, 429) or answer.status >= 500:
            raise auth_errors.TransportError(f"status {answer.status}")
        return answer

    def forget(self) -> None:
        """Google has refused the token: the next request gets a new one, if there is a way to get one."""
        with self._lock:
            self.credentials.expiry = LONG_AGO

    def close(self) -> None:
        self._session.close()


class Held(Credentials):
    """The account's token, for Google's clients.

    Without it they would sign tokens of their own, and ask Google where the account may be used, in threads that nobody
    owns.
    """

    def __init__(self, account: Account) -> None:
        super().__init__()
        self._account = account

    def before_request(self, request: object, method: str, url: str, headers: dict[str, str]) -> None:
        self._account.credentials.apply(headers)

    def refresh(self, request: object) -> None:
        """Called when Google has answered 401; the client would send its request again after it."""
        self._account.forget()
        raise auth_errors.RefreshError("token refused")


def by_key(text: str, project: str) -> Account:
    """A service account's key (the text of its JSON file)."""
    try:
        key = json.loads(text)
        made = service_account.Credentials.from_service_account_info(key, scopes=SCOPES)
    except (ValueError, KeyError, TypeError, AttributeError, auth_errors.GoogleAuthError):
        raise CloudAuthError(
            "this is not the key of a service account",
            field="service_account_json",
            remedy="store the whole text of the JSON file that Google gave for the key",
        ) from None
    return Account(made, project or str(key.get("project_id", "")))


def by_token(token: str, project: str) -> Account:
    """An access token that somebody else got."""
    return Account(token_credentials.Credentials(token), project)


def by_default(project: str) -> Account:
    """Application default credentials: what gcloud left on this machine, or the service account of the VM we run on."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that end users' credentials have a quota of their own
            made, found = google.auth.default(scopes=SCOPES)
    except auth_errors.GoogleAuthError as error:
        raise faults.not_admitted(str(error)) from None
    return Account(made, project or found or "")


class Edge:
    """Requests in one account's name to one endpoint; may be used from many threads."""

    def __init__(self, account: Account, endpoint: str, billing: str) -> None:
        self._account = account
        self._held = Held(account)
        self._options = ClientOptions(api_endpoint=endpoint) if endpoint else None
        self._billing = billing
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._session: AuthorizedSession | None = None

    def call(self, name: str, parameters: Json, timeout: float = TIMEOUT, note: str = "") -> Json:
        """The answer of one request; of a list, one page. ``note`` is put before its name where requests are noted."""
        method = METHODS[name]

        try:
            request = getattr(compute_v1, method.request).from_json(json.dumps(parameters))
        except ParseError:  # its text may hold what is secret
            raise CloudInvalidError(f"{name}: the request has characters that Google does not take") from None

        def send() -> Json:
            client = self._client(method.client)
            sent(note + name)
            answer = getattr(client, method.call)(request=request, retry=None, timeout=timeout)
            if hasattr(answer, "pages"):
                answer = next(iter(answer.pages))
            return _json(answer)

        return self._guarded(send)

    def skus(self, service: str, page: str, timeout: float = TIMEOUT) -> Json:
        """One page of the price list of a service (Cloud Billing Catalog)."""
        query = {"pageSize": "5000", "currencyCode": "USD", **({"pageToken": page} if page else {})}

        def send() -> Json:
            session = self._billing_session()
            sent("services.skus.list")
            answer = session.get(f"{self._billing}/v1/services/{service}/skus", params=query, timeout=timeout)
            if answer.status_code != 200:
                raise _refused(answer)
            return cast(Json, answer.json())

        return self._guarded(send)

    def close(self) -> None:
        for client in self._clients.values():
            client.transport.close()
        if self._session is not None:
            self._session.close()
        self._account.close()

    def _client(self, name: str) -> Any:
        with self._lock:
            if name not in self._clients:
                make = getattr(compute_v1, name)
                self._clients[name] = make(credentials=self._held, client_options=self._options)
            return self._clients[name]

    def _billing_session(self) -> Any:
        with self._lock:
            if self._session is None:
                self._session = AuthorizedSession(self._held)
            return self._session

    def _guarded(self, send: Callable[[], T]) -> T:
        """What ``send`` returns; all that can go wrong with a request, in our words."""
        try:
            self._account.admit()
            return send()
        except GoogleAPICallError as error:
            raise _translated(error) from None
        except (auth_errors.GoogleAuthError, requests.exceptions.RequestException) as error:
            raise _broken(error) from None
        except (ValueError, ParseError) as error:  # an answer that is no JSON, or a redirect's page
            raise CloudTransientError(f"Google Cloud's answer cannot be read: {type(error).__name__}") from None


def _json(answer: Any) -> Json:
    """A message as Google's documents write it: their spelling of names, words for enumerations."""
    made = type(answer).to_dict(answer, preserving_proto_field_name=False, use_integers_for_enums=False)
    return cast(Json, made)


def _translated(error: GoogleAPICallError) -> CloudError:
    """A refusal as the library tells it."""
    details = error.errors[0] if error.errors and isinstance(error.errors[0], dict) else {}
    reason = str(details.get("reason") or error.reason or "")
    headers = getattr(error.response, "headers", {})
    return faults.refusal(int(error.code or 500), reason, str(error.message), _seconds(headers.get("Retry-After")))


def _refused(answer: Any) -> CloudError:
    """A refusal of the price list, which no library reads for us."""
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return faults.refusal(answer.status_code, "", "the price list does not answer")
    details = [item for item in error.get("details", ()) if "reason" in item] or error.get("errors") or [{}]
    reason, message = str(details[0].get("reason", "")), str(error.get("message", ""))
    return faults.refusal(answer.status_code, reason, message, _seconds(answer.headers.get("Retry-After")))


def _seconds(text: str | None) -> float | None:
    """A Retry-After in seconds; None where there is none, or a date."""
    return float(text) if text and text.isdigit() else None


def _broken(error: BaseException) -> CloudError:
    """What kept a request from being answered: the way there, or the access token."""
    seen: BaseException | None = error
    while seen is not None:  # google-auth wraps what requests raised
        if isinstance(seen, requests.exceptions.SSLError):
            return faults.untrusted()
        if isinstance(seen, requests.exceptions.ReadTimeout):
            return CloudTimeoutError("Google Cloud gave no answer in time")
        if isinstance(seen, requests.exceptions.RequestException):
            return CloudTransientError(f"the connection to Google Cloud failed: {type(seen).__name__}")
        seen = seen.__cause__ or seen.__context__
    if isinstance(error, auth_errors.TransportError) or getattr(error, "retryable", False):
        return CloudTransientError("the server that gives access tokens does not answer")
    return faults.not_admitted(str(error))
