"""The schema of a database in; the same database at this program's revision out.

Alembic takes a while to import, so it is touched only when the revision found is not the one we want.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from mcisd.model.errors import StoreError
from mcisd.store.metadata.engine import make_engines
from mcisd.store.metadata.errors import translated

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0003"
MIGRATIONS = Path(__file__).parent / "migrations"


async def upgrade(url: str, password: str | None = None) -> str | None:
    """Bring the database at ``url`` to this program's revision; returns the one it had (None: it was empty)."""
    return await ensure_current(url, password, auto_upgrade=True)


async def ensure_current(url: str, password: str | None, *, auto_upgrade: bool) -> str | None:
    """See that the database is at HEAD; returns the revision it had. StoreError if it is not and cannot be.

    The change is one transaction of the one writer: of several processes that start at once one makes it, the others
    wait and find it done.
    """
    engines = make_engines(url, password, patient=True)
    try:
        with translated("open the database"):
            if auto_upgrade:
                async with engines.write.begin() as connection:
                    found = await connection.run_sync(revision)
                    if found != HEAD:
                        await connection.run_sync(migrate, found)
            else:
                async with engines.read.connect() as connection:
                    found = await connection.run_sync(revision)
                check_revision(found)
    finally:
        await engines.close()
    return found


def check_revision(found: str | None) -> None:
    """StoreError unless ``found`` is HEAD."""
    if found != HEAD:
        have = f"at revision {found}" if found else "empty"
        raise StoreError(f"the database is {have}, this program needs {HEAD}", remedy="run `mcisd db upgrade`")


def revision(connection: sa.Connection) -> str | None:
    """The revision the database is at; None if it has no schema of ours."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def migrate(connection: sa.Connection, found: str | None, target: str = HEAD) -> None:
    """Run the migrations from ``found`` to ``target``, inside the transaction of ``connection``: all or nothing."""
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StoreError(
            f"the database is at revision {found}, which this program does not know: a newer mcisd has made it",
            remedy="run that version, or restore a backup made with this one",
        )
    if target != "base" and (found is None or found < target):
        command.upgrade(config, target)
    else:
        command.downgrade(config, target)


def alembic_config(connection: sa.Connection) -> "Config":
    """Alembic's settings, without a file: where the migrations are, and the connection to run them on."""
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
