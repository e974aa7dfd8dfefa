"""URLs of PostgreSQL, before anything is opened: what is refused, and that nothing shows a password."""

import subprocess
import sys
from pathlib import Path

import pytest

from mcisd.model.errors import ConfigError
from mcisd.store.metadata.engine import make_engines

OPEN_A_FILE = """
import asyncio, sys
from mcisd.aio.clock import SystemClock
from mcisd.store.metadata import open_store

async def main():
    store = await open_store(sys.argv[1], SystemClock())
    await store.close()

asyncio.run(main())
print("asyncpg" in sys.modules)
"""


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://u:hush@h/d", "password in it"),
        ("postgresql://u@h", "names no database"),
        ("postgresql://u@h/d?sslmdoe=require", "unknown option 'sslmdoe'"),
        ("postgresql://u@h/d?password=hush", "unknown option 'password'"),
        ("postgresql://u@h:port/d", "cannot be read"),
    ],
)
def test_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        make_engines(url)
    assert caught.value.field == "url"
    assert caught.value.remedy
    assert "hush" not in f"{caught.value} {caught.value.remedy}"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://u@h:5433/d", "PostgreSQL at h:5433/d"),
        ("postgresql://u@h/d?ssl=verify-full&sslrootcert=/ca.pem", "PostgreSQL at h/d"),
        ("postgresql+asyncpg://u@h/d", "PostgreSQL at h/d"),
        ("postgresql:///d?host=/run/postgresql", "PostgreSQL at /run/postgresql/d"),
    ],
)
async def test_taken(url: str, place: str) -> None:
    engines = make_engines(url, "hush")
    assert engines.place == place
    assert "hush" not in repr(engines)
    await engines.close()


def test_the_client_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mcisd.store.metadata.engine_postgres", raising=False)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ConfigError, match="asyncpg is not installed") as caught:
        make_engines("postgresql://u@h/d")
    assert "mcisd[postgres]" in str(caught.value.remedy)


def test_a_file_needs_no_client_of_another_engine(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN_A_FILE, f"sqlite:///{tmp_path}/m.db"]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == "False\n"
