"""Errors of the database in, ours out: callers above never see SQLAlchemy or a driver."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from mcisd.model.errors import ConflictError, StoreError

# What the engine says → what to do about it; the first that fits.
REMEDIES = (
    ("lock timeout", "another process holds the database; stop it or wait"),
    ("locked", "another process holds the database; stop it or wait"),
    ("busy", "another process holds the database; stop it or wait"),
    ("unable to open", "check that the directory exists and may be written"),
    ("not a database", "the file is damaged; restore it from a backup"),
    ("malformed", "the file is damaged; restore it from a backup"),
    ("full", "free some space on the disk"),
    ("No space left", "free some space on the disk"),
    ("statement timeout", "try again; if it stays, see what loads the database"),
    ("permission denied", "give the user all rights on the database and its tables"),
    ("read-only", "give the address of the primary server, not of a copy"),
)
LOST = "it is tried again on a new connection; if it stays, see whether the database server runs"


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise errors of the database as StoreError ("could not ``doing``: …"), of uniqueness as ConflictError.

    No message bears a value: neither the statement nor its parameters, as they may hold secrets.
    """
    try:
        yield
    except exc.IntegrityError as error:
        raise ConflictError(f"could not {doing}: {_reason(error)}") from None
    except exc.DBAPIError as error:
        raise StoreError(f"could not {doing}: {_reason(error)}", remedy=_remedy(error)) from None
    except exc.StatementError as error:
        raise StoreError(f"could not {doing}: a value cannot be stored ({type(error.orig).__name__})") from None
    except exc.TimeoutError:
        raise StoreError(f"could not {doing}: all connections are in use", remedy="try again later") from None
    except exc.SQLAlchemyError as error:
        raise StoreError(f"could not {doing}: {type(error).__name__}") from error
    except TimeoutError:
        raise StoreError(f"could not {doing}: no answer in time", remedy=LOST) from None
    except OSError as error:
        raise StoreError(f"could not {doing}: {error.strerror or 'the connection was lost'}", remedy=LOST) from None


def _reason(error: exc.DBAPIError) -> str:
    """The engine's own first line, without the class that SQLAlchemy may put before it."""
    if error.orig is None:
        return type(error).__name__
    state = getattr(error.orig, "sqlstate", "")
    if state is None or str(state).startswith("22"):  # these may quote the value that was wrong
        return "the connection was lost" if error.connection_invalidated else "a value cannot be stored"
    words = next(iter(str(error.orig).splitlines()), "")
    return words.rpartition("'>: ")[2][:200] or type(error).__name__


def _remedy(error: exc.DBAPIError) -> str | None:
    words = str(error.orig)
    if error.connection_invalidated:
        return LOST
    return next((remedy for part, remedy in REMEDIES if part in words), None)
