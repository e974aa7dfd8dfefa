"""Fixtures with the real engines. In: what ``make engines`` put on this machine. Out: servers, and for each test names,
databases and buckets of its own on them.

Each engine is started by the first test that wants it and serves until the session ends. Tests that want one are marked
``engines``: where an engine is missing they are skipped, all with one reason; with MCISD_ENGINES=require (set by
``make test-engines`` and in CI) they fail instead.
"""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcisd.demo.engines import InfluxEngine, KafkaEngine, PostgresEngine, missing_engines

REQUIRED = os.environ.get("MCISD_ENGINES") == "require"
LEFT_OUT = "the real engines are missing (make engines && make test-engines)"
SLOW_START = 300
"""Seconds a test may take at most: the first one starts its engine, and others may be starting theirs."""

PostgresDatabase = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class InfluxServer:
    """An InfluxDB with an empty bucket for one test. ``engine`` is for the faults."""

    url: str
    org: str
    bucket: str
    token: str
    engine: InfluxEngine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    wanting = [item for item in items if item.get_closest_marker("engines")]
    missing = missing_engines() if wanting else []
    for item in wanting:
        if missing and not REQUIRED:
            item.add_marker(pytest.mark.skip(reason=LEFT_OUT))
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_START))


@pytest.fixture(scope="session")
def engines_folder() -> Iterator[Path]:
    """A directory that every user may enter (PostgreSQL runs as another one); gone at the end."""
    if missing := missing_engines():
        pytest.fail("; ".join(missing), pytrace=False)
    folder = Path(tempfile.mkdtemp(prefix="mcisd-engines-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka_engine(engines_folder: Path) -> Iterator[KafkaEngine]:
    """One broker for all tests. A test that stops it starts it again."""
    engine = asyncio.run(KafkaEngine.start(engines_folder / "kafka", quick=True))
    yield engine
    asyncio.run(engine.wipe())


@pytest.fixture
async def kafka_servers(kafka_engine: KafkaEngine) -> str:
    """``HOST:PORT`` of the broker, which is started again where a test that failed has left it stopped."""
    if not kafka_engine.running():
        await kafka_engine.start_again()
    return kafka_engine.servers


@pytest.fixture
def kafka_prefix() -> str:
    """What the topics and groups of one test begin with, so that no test sees another's."""
    return f"t{secrets.token_hex(5)}."


@pytest.fixture(scope="session")
def influx_engine(engines_folder: Path) -> Iterator[InfluxEngine]:
    """One InfluxDB for all tests. A test that stops it starts it again."""
    engine = asyncio.run(InfluxEngine.start(engines_folder / "influxdb"))
    yield engine
    asyncio.run(engine.wipe())


@pytest.fixture
async def influx_server(influx_engine: InfluxEngine) -> InfluxServer:
    """The InfluxDB, with an empty bucket that keeps for ever."""
    bucket = f"b{secrets.token_hex(5)}"
    await influx_engine.new_bucket(bucket)
    return InfluxServer(influx_engine.url, influx_engine.org, bucket, influx_engine.token, influx_engine)


@pytest.fixture(scope="session")
def postgres_engine(engines_folder: Path) -> Iterator[PostgresEngine]:
    """One PostgreSQL for all tests. A test that stops it starts it again."""
    engine = asyncio.run(PostgresEngine.start(engines_folder / "postgres"))
    yield engine
    asyncio.run(engine.wipe())


@pytest.fixture
async def postgres_database(postgres_engine: PostgresEngine) -> AsyncIterator[PostgresDatabase]:
    """A factory of empty databases; they are dropped after the test."""
    made: list[str] = []

    async def make() -> str:
        url = await postgres_engine.database()
        made.append(url.rpartition("/")[2])
        return url

    yield make
    for name in made:
        await postgres_engine.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def postgres_url(postgres_database: PostgresDatabase) -> str:
    """The URL of an empty database."""
    return await postgres_database()
