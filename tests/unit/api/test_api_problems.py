"""Every error of ours has its HTTP status, and says what, where and how to mend it."""

import json
from typing import Annotated, Any

import pytest
from aiohttp import web
from pydantic import Field, ValidationError

from mcisd.daemon.api.problems import LONGEST, STATUS, from_validation, problem
from mcisd.daemon.api.schemas.base import Model, Name
from mcisd.model import errors
from mcisd.model.errors import (
    CloudThrottledError,
    CloudTimeoutError,
    DeliveryError,
    HostKeyError,
    InputError,
    InUseError,
    McisdError,
    NotFoundError,
    TooLargeError,
)

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, McisdError)]


def body(response: web.Response) -> Any:
    assert response.text is not None
    return json.loads(response.text)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_a_status(kind: type[McisdError]) -> None:
    error = kind("it went wrong", retriable=False) if kind is DeliveryError else kind("it went wrong")
    response = problem(error)
    assert 400 <= response.status < 600
    assert (response.status == 500) == (kind is McisdError)
    assert response.content_type == "application/problem+json"
    told = body(response)
    assert (told["status"], told["code"], told["detail"]) == (response.status, kind.code, "it went wrong")
    assert told["type"] == f"urn:mcisd:problem:{kind.code}"


def test_a_more_special_class_comes_before_its_parent() -> None:
    kinds = [kind for kind, _, _ in STATUS]
    for index, kind in enumerate(kinds):
        assert not any(issubclass(later, kind) for later in kinds[index + 1 :]), kind


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("x"), 422),
        (TooLargeError("x"), 413),
        (NotFoundError("x"), 404),
        (InUseError("x"), 409),
        (CloudTimeoutError("x"), 504),
        (HostKeyError("x"), 502),
    ],
)
def test_statuses(error: McisdError, status: int) -> None:
    assert problem(error).status == status


def test_field_remedy_and_patience_are_told() -> None:
    told = body(problem(InputError("count is 0", field="count", remedy="use 1 or more")))
    assert (told["field"], told["remedy"]) == ("count", "use 1 or more")
    assert problem(CloudThrottledError("slow down", retry_after=2.4)).headers["Retry-After"] == "2"
    assert "Retry-After" not in problem(CloudThrottledError("slow down")).headers


def test_a_long_detail_is_cut() -> None:
    assert len(body(problem(NotFoundError("x" * 9999)))["detail"]) == LONGEST + 1


class Part(Model):
    cloud_name: Name
    size: Annotated[int, Field(ge=1)] = 1


class Whole(Model):
    parts: list[Part]


@pytest.mark.parametrize(
    ("sent", "field", "word"),
    [
        ('{"parts": [{"cloudName": "A"}]}', "parts[0].cloudName", "small letters"),
        ('{"parts": [{"cloudName": "a"}, {"cloudName": "b", "size": 0}]}', "parts[1].size", "openapi"),
        ('{"parts": [{"cloudName": "a", "colour": 1}]}', "parts[0].colour", "leave it out"),
        ("{}", "parts", "give it"),
        ("{", "body", "openapi"),
    ],
)
def test_validation_errors_name_the_place(sent: str, field: str, word: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate_json(sent)
    error = from_validation(caught.value, "body")
    assert error.field == field
    assert error.remedy is not None
    assert word in error.remedy


def test_validation_errors_do_not_repeat_what_was_sent() -> None:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate_json('{"parts": "SECRET", "other": "SECRET"}')
    assert "SECRET" not in from_validation(caught.value, "body").message
