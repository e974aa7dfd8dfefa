"""The edge to Google's libraries: what keeps a request from being answered, in our words, and without secrets."""

# mypy: allow-untyped-calls
# google-auth says that it is typed, but most of its functions have no annotations.

import logging
import subprocess
import sys

import pytest
import requests
from google.auth import exceptions as auth_errors

from mcisd.drivers.gcp import edge
from mcisd.model import errors as e


def chained(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (requests.exceptions.ReadTimeout("s3cret"), e.CloudTimeoutError),
        (requests.exceptions.ConnectTimeout("s3cret"), e.CloudTransientError),
        (requests.exceptions.ConnectionError("s3cret"), e.CloudTransientError),
        (requests.exceptions.ChunkedEncodingError("s3cret"), e.CloudTransientError),
        (requests.exceptions.SSLError("s3cret"), e.CloudInvalidError),
        (chained(auth_errors.TransportError("s3cret"), requests.exceptions.SSLError("x")), e.CloudInvalidError),
        (
            chained(auth_errors.TransportError("s3cret"), requests.exceptions.ConnectionError("x")),
            e.CloudTransientError,
        ),
        (auth_errors.TransportError("s3cret"), e.CloudTransientError),
        (auth_errors.RefreshError("s3cret", retryable=True), e.CloudTransientError),
        (auth_errors.RefreshError("invalid_grant: s3cret"), e.CloudAuthError),
    ],
)
def test_broken_ways(raised: Exception, kind: type[e.CloudError]) -> None:
    error = edge._broken(raised)
    assert type(error) is kind
    assert "s3cret" not in error.message


def test_what_google_cannot_read_is_refused_without_being_shown() -> None:
    account = edge.by_token("t", "p")
    with pytest.raises(e.CloudInvalidError) as caught:
        edge.Edge(account, "http://127.0.0.1:1", "").call("instances.get", {"instance": {"s3cret": 1}})
    assert "s3cret" not in caught.value.message
    assert caught.value.__cause__ is None


def test_pauses() -> None:
    assert edge._seconds("7") == 7.0
    assert edge._seconds("Fri, 31 Dec 2026 23:59:59 GMT") is None
    assert edge._seconds(None) is None


def test_the_library_does_not_log_requests() -> None:
    assert not logging.getLogger("google.cloud.compute_v1").isEnabledFor(logging.DEBUG)


def test_the_driver_loads_without_googles_libraries() -> None:
    code = (
        "import sys, mcisd.drivers.gcp.driver; print([m for m in sys.modules if m.startswith(('google', 'requests'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.strip() == "[]"
