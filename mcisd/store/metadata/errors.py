"""Errors of the database in, ours out: callers above never see SQLAlchemy."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from mcisd.model.errors import ConflictError, StoreError


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise errors of the database as StoreError ("could not ``doing``: …"), of uniqueness as ConflictError."""
    try:
        yield
    except exc.IntegrityError as error:
        raise ConflictError(f"could not {doing}: {_reason(error)}") from None
    except exc.DBAPIError as error:
        raise StoreError(f"could not {doing}: {_reason(error)}", remedy=_remedy(error)) from None
    except exc.StatementError as error:
        raise StoreError(f"could not {doing}: a value cannot be stored ({type(error.orig).__name__})") from None
    except exc.SQLAlchemyError as error:
        raise StoreError(f"could not {doing}: {type(error).__name__}") from error


def _reason(error: exc.DBAPIError) -> str:
    """The engine's own words, without the statement and its parameters (they may hold secrets)."""
    return str(error.orig).splitlines()[0][:200] if error.orig is not None else type(error).__name__


def _remedy(error: exc.DBAPIError) -> str | None:
    words = str(error.orig)
    if "locked" in words or "busy" in words:
        return "another process holds the database; stop it or wait"
    if "unable to open" in words:
        return "check that the directory exists and may be written"
    if "not a database" in words or "malformed" in words:
        return "the file is damaged; restore it from a backup"
    if "full" in words:
        return "free some space on the disk"
    return None
