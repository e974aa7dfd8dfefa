"""Which of our errors OpenStack's refusals become. The bodies are those of the services."""

from email.utils import formatdate
from typing import Any

import pytest

from mcisd.drivers.openstack.faults import fault, no_capacity, refused, words
from mcisd.drivers.openstack.http import Answer
from mcisd.model.errors import (
    CloudAuthError,
    CloudCapacityError,
    CloudConflictError,
    CloudError,
    CloudInvalidError,
    CloudNotFoundError,
    CloudQuotaError,
    CloudThrottledError,
    CloudTransientError,
    CloudUnsupportedError,
)

NOW = 1_790_000_000.0


def neutron(kind: str, message: str) -> dict[str, Any]:
    return {"NeutronError": {"type": kind, "message": message, "detail": ""}}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"badRequest": {"code": 400, "message": "Invalid key_name provided."}}, CloudInvalidError),
        (401, {"error": {"code": 401, "message": "x"}}, CloudAuthError),
        (403, {"forbidden": {"code": 403, "message": "Quota exceeded for instances: Requested 1"}}, CloudQuotaError),
        (403, {"forbidden": {"code": 403, "message": "Quota exceeded, too many key pairs."}}, CloudQuotaError),
        (403, {"forbidden": {"code": 403, "message": "Policy doesn't allow it to be performed."}}, CloudAuthError),
        (404, {"itemNotFound": {"code": 404, "message": "Instance x could not be found."}}, CloudNotFoundError),
        (406, {"computeFault": {"code": 406, "message": "Version 2.52 is not supported"}}, CloudUnsupportedError),
        (409, neutron("OverQuota", "Quota exceeded for resources: ['port']."), CloudQuotaError),
        (409, neutron("SecurityGroupInUse", "Security Group x in use."), CloudConflictError),
        (409, neutron("MacAddressInUse", "The mac address is in use."), CloudConflictError),
        (
            409,
            neutron("IpAddressGenerationFailure", "No more IP addresses available on network x."),
            CloudCapacityError,
        ),
        (400, neutron("ExternalIpAddressExhausted", "No more IP addresses available on network"), CloudCapacityError),
        (413, {"overLimit": {"code": 413, "message": "This request was rate-limited."}}, CloudThrottledError),
        (429, None, CloudThrottledError),
        (500, {"computeFault": {"code": 500, "message": "Unexpected API Error."}}, CloudTransientError),
        (503, None, CloudTransientError),
        (504, None, CloudTransientError),
    ],
)
def test_error_for_a_refusal(status: int, body: Any, error: type[CloudError]) -> None:
    made = fault("nova POST servers", Answer(status, {}, body))
    assert type(made) is error
    assert made.message.startswith("nova POST servers")


def test_pause_asked_for() -> None:
    made = fault("x", Answer(429, {"Retry-After": "7"}, None))
    assert isinstance(made, CloudThrottledError)
    assert made.retry_after == 7.0
    dated = fault("x", Answer(429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None))
    assert isinstance(dated, CloudThrottledError)
    assert dated.retry_after is None


def test_words_of_each_service() -> None:
    assert words(neutron("OverQuota", "full")) == ("OverQuota", "full")
    assert words({"itemNotFound": {"code": 404, "message": "gone"}}) == ("", "gone")
    assert words({"NeutronError": "plain"}) == ("", "plain")
    assert words({"errors": [{"title": "Forbidden", "detail": "no"}]}) == ("Forbidden", "no")
    odd: Any
    for odd in (None, [], "text", {}, {"a": 1}, {"errors": []}):
        assert words(odd) == ("", "")


def test_long_messages_are_cut() -> None:
    made = fault("x", Answer(500, {}, {"computeFault": {"message": "word\n" * 1000}}))
    assert len(made.message) < 400
    assert "\n" not in made.message


def test_keystone_s_no() -> None:
    made = refused("password of user ann", Answer(401, {"Date": formatdate(NOW)}, None), NOW)
    assert type(made) is CloudAuthError
    assert "ann" in made.message
    assert made.remedy
    made = refused("application credential a1", Answer(401, {}, None), NOW)
    assert "expired" in made.message


@pytest.mark.parametrize(("ahead", "word"), [(3600.0, "behind"), (-3600.0, "ahead of")])
def test_a_clock_that_is_off_is_named(ahead: float, word: str) -> None:
    made = refused("password of user ann", Answer(401, {"date": formatdate(NOW + ahead)}, None), NOW)
    assert "clock" in made.message
    assert word in made.message
    made = refused("password of user ann", Answer(401, {}, {"error": {"message": "Token not yet valid"}}), NOW)
    assert "clock" in (made.remedy or "")


def test_other_troubles_of_keystone() -> None:
    assert type(refused("x", Answer(503, {}, None), NOW)) is CloudTransientError
    assert type(refused("x", Answer(429, {}, None), NOW)) is CloudThrottledError


def test_what_tells_of_a_full_cloud() -> None:
    assert no_capacity("No valid host was found. There are not enough hosts available.")
    assert no_capacity("Exceeded maximum number of retries. Exhausted all hosts available for retrying build")
    assert not no_capacity("Image x is unacceptable")
