"""The tree of errors: each class says whether trying again can help, and shows one plain line."""

import pytest

from mcisd.model import errors

TREE = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.McisdError)]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_says_whether_to_try_again(kind: type[errors.McisdError]) -> None:
    error = kind("it is away", retriable=True) if kind is errors.DeliveryError else kind("it is away")
    assert isinstance(error.retriable, bool)
    assert error.message == "it is away"
    assert "\n" not in str(error)


def test_what_the_user_did_is_never_tried_again() -> None:
    for kind in (
        errors.InputError,
        errors.AccessError,
        errors.NotFoundError,
        errors.ConflictError,
        errors.CloudAuthError,
    ):
        assert not kind("no").retriable
    for again in (errors.CloudThrottledError, errors.CloudTransientError, errors.HostUnreachableError):
        assert again("wait").retriable
