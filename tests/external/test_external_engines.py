"""The engines themselves: each starts, answers, and survives a kill with its data."""

import asyncio

import aiohttp
import asyncpg
import pytest

from mcisd.demo.engines import EngineError, KafkaEngine, PostgresEngine
from mcisd.demo.engines_process import ServerProcess
from mcisd.demo.ports import free_ports
from tests.engines import InfluxServer

pytestmark = pytest.mark.engines
TIMEOUT = aiohttp.ClientTimeout(total=10.0)


async def answers(servers: str) -> bool:
    host, port = servers.split(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_kafka_comes_back_on_its_port(kafka_engine: KafkaEngine) -> None:
    assert await answers(kafka_engine.servers)
    before = kafka_engine.pid()
    await kafka_engine.stop(0, kill=True)
    assert not await answers(kafka_engine.servers)
    await kafka_engine.start_again(0)
    assert await answers(kafka_engine.servers)
    assert kafka_engine.pid() != before


async def test_influx_keeps_its_data_over_a_kill(influx_server: InfluxServer) -> None:
    where = {"org": influx_server.org, "bucket": influx_server.bucket}
    headers = {"Authorization": f"Token {influx_server.token}"}
    query = f'from(bucket: "{influx_server.bucket}") |> range(start: 0)'
    async with aiohttp.ClientSession(influx_server.url, headers=headers, timeout=TIMEOUT) as session:
        async with session.post("/api/v2/write", params=where, data="m,vm=a f=42.5 1700000000000000000") as answer:
            assert answer.status == 204
        await influx_server.engine.stop(kill=True)
        await influx_server.engine.start_again()
        async with session.post("/api/v2/query", params=where, json={"query": query}) as answer:
            assert "42.5" in await answer.text()


async def test_postgres_keeps_its_data_over_a_kill(postgres_engine: PostgresEngine, postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url, timeout=10)
    await connection.execute("CREATE TABLE t (x int); INSERT INTO t VALUES (7)")
    await connection.close()
    await postgres_engine.restart(kill=True)
    connection = await asyncpg.connect(postgres_url, timeout=10)
    assert await connection.fetchval("SELECT x FROM t") == 7
    await connection.close()


async def test_an_engine_that_ends_while_starting_shows_its_last_words(
    postgres_engine: PostgresEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCISD_ENGINES_DIR", str(postgres_engine.folder))
    process = ServerProcess("thing", ["sh", "-c", "echo no such luck; exit 3"], postgres_engine.folder / "thing.log")

    async def never() -> bool:
        return False

    with pytest.raises(EngineError, match=r"thing ended with code 3 while starting(.|\n)*no such luck"):
        await process.start(never, 10.0)
    assert len(list((postgres_engine.folder / "failed").iterdir())) == 1


def test_ports_are_apart_from_those_of_clients() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert max(ports) < 32_768
