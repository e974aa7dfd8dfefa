"""Opening what the embedded store is made of, and what its engine's errors mean."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb

from mcisd.model.errors import StoreError
from mcisd.store.series.hours import Hours

BLOCK_SIZE = 16_384  # the smallest there is: the file holds names only
OLD = "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'sample'"
Opened = tuple[duckdb.DuckDBPyConnection, Hours, tempfile.TemporaryDirectory[str] | None]


def open_files(path: Path | None, memory_limit: str, threads: int) -> Opened:
    """The file of names, the hours beside it, and the directory to remove at the end if there is to be no file."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "threads": threads,
        "default_block_size": BLOCK_SIZE,
    }
    aside = tempfile.TemporaryDirectory(prefix="mcisd-series-") if path is None else None
    path = path or Path(aside.name if aside is not None else "") / "series.duckdb"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = duckdb.connect(str(path), config=config)
        if connection.execute(OLD).fetchall() != [(0,)]:
            connection.close()
            raise StoreError(f"the time series {path} are of an older version", remedy="move the file away")
        return connection, Hours(path.with_suffix(".hours")), aside
    except (duckdb.Error, OSError) as error:
        raise StoreError(f"cannot open the time series {path}: {words(error)}", remedy=remedy(error)) from None


@contextlib.contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit (into the synced log) at the end of the block, or roll back."""
    connection.begin()
    try:
        yield
        connection.commit()
    except BaseException:
        # An error of the engine may have ended the transaction already; the first error is the one to tell.
        with contextlib.suppress(duckdb.Error):
            connection.rollback()
        raise


def words(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def remedy(error: Exception) -> str | None:
    text = str(error).lower()
    if "lock" in text:
        return "another process holds the file; stop it, or use another file"
    if "not a valid" in text or "corrupt" in text or "serialization" in text:
        return "the file is damaged; move it away or restore it from a backup"
    if "permission" in text or "no such file" in text:
        return "check that the directory exists and may be written"
    if "no space" in text or "could not write" in text:
        return "free some space on the disk"
    return None
