"""Errors of drivers become ours: retriable, in one line, with a remedy, without values."""

import pytest
from sqlalchemy import exc

from mcisd.model.errors import ConflictError, StoreError
from mcisd.store.metadata.errors import translated


class DriverError(Exception):
    """As SQLAlchemy shows errors of asyncpg: ``sqlstate`` is None if the client itself refused."""

    def __init__(self, words: str, sqlstate: str | None) -> None:
        super().__init__(f"<class 'asyncpg.exceptions.SomeError'>: {words}\nDETAIL: hush")
        self.sqlstate = sqlstate


def told(error: Exception) -> StoreError:
    with pytest.raises(StoreError) as caught, translated("try"):
        raise error
    assert caught.value.retriable
    return caught.value


def database_error(words: str, sqlstate: str | None, lost: bool = False) -> exc.DBAPIError:
    return exc.DBAPIError("SELECT hush", {"p": "hush"}, DriverError(words, sqlstate), connection_invalidated=lost)


@pytest.mark.parametrize(
    ("error", "message", "remedy"),
    [
        (TimeoutError(), "could not try: no answer in time", "server runs"),
        (ConnectionRefusedError(111, "Connection refused"), "could not try: Connection refused", "server runs"),
        (OSError("hush"), "could not try: the connection was lost", "server runs"),
        (exc.TimeoutError("hush"), "could not try: all connections are in use", "later"),
        (
            database_error("canceling due to lock timeout", "55P03"),
            "could not try: canceling due to lock timeout",
            "wait",
        ),
        (database_error("disk full", "53100"), "could not try: disk full", "space"),
        (database_error("closed", None, lost=True), "could not try: the connection was lost", "server runs"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_told(error: Exception, message: str, remedy: str) -> None:
    ours = told(error)
    assert ours.message == message
    assert remedy in str(ours.remedy)


@pytest.mark.parametrize("sqlstate", ["22P02", "22021", None])
def test_values_are_not_shown(sqlstate: str | None) -> None:
    assert told(database_error("wrong value 'hush'", sqlstate)).message == "could not try: a value cannot be stored"


def test_uniqueness() -> None:
    words = 'duplicate key value violates unique constraint "uq_vm_mcis_name"'
    with pytest.raises(ConflictError) as caught, translated("try"):
        raise exc.IntegrityError("UPDATE", {}, DriverError(words, "23505"))
    assert caught.value.message == f"could not try: {words}"


def test_others_are_left_alone() -> None:
    with pytest.raises(KeyError), translated("try"):
        raise KeyError
