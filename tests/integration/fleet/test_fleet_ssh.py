"""SshPool against a real SSH server and real shells."""

import asyncio
import os
import socket
import time

import pytest

from mcisd.daemon.fleet.keys import fingerprint, new_key_pair
from mcisd.daemon.fleet.ssh import SshPool, SshTarget
from mcisd.demo.ports import free_port
from mcisd.model.errors import HostAuthError, HostKeyError, HostTimeoutError, HostUnreachableError
from tests.integration.fleet.fleet_host import FleetHost, runs, until


async def test_a_command_gives_status_and_both_streams(host: FleetHost, pool: SshPool) -> None:
    result = await pool.run(host.target(), "echo out; echo err >&2; exit 7", timeout=10)
    assert (result.exit_status, result.signal) == (7, "")
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert not result.truncated
    assert 0 < result.elapsed_s < 10


async def test_a_signal_is_named(host: FleetHost, pool: SshPool) -> None:
    result = await pool.run(host.target(), "kill -TERM $$", timeout=10)
    assert (result.exit_status, result.signal) == (None, "TERM")


async def test_another_host_key_is_refused_before_anything_runs(host: FleetHost, pool: SshPool) -> None:
    _, other = new_key_pair("other")
    with pytest.raises(HostKeyError, match="did not show its pinned key") as caught:
        await pool.run(host.target(host_key=other), "touch ran", timeout=10)
    assert fingerprint(other) in caught.value.message
    assert not (host.home / "ran").exists()


async def test_another_user_key_is_refused(host: FleetHost, pool: SshPool) -> None:
    other, _ = new_key_pair("other")
    with pytest.raises(HostAuthError, match="refuses the key of user tester"):
        await pool.run(host.target(private_key=other), "true", timeout=10)
    assert len(pool) == 0


async def test_a_wrong_user_key_does_not_ride_on_a_pooled_connection(host: FleetHost, pool: SshPool) -> None:
    await pool.run(host.target(), "true", timeout=10)
    other, _ = new_key_pair("other")
    with pytest.raises(HostAuthError):
        await pool.run(host.target(private_key=other), "true", timeout=10)


async def test_a_closed_port_is_unreachable(host: FleetHost, pool: SshPool) -> None:
    target = host.target()
    await host.stop()
    with pytest.raises(HostUnreachableError, match="cannot be reached"):
        await pool.run(target, "true", timeout=10)


async def test_a_server_that_never_speaks_times_out() -> None:
    pool = SshPool(connect_timeout=0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        private, public = new_key_pair("x")
        target = SshTarget("dead", "127.0.0.1", silent.getsockname()[1], "u", private, public)
        with pytest.raises(HostTimeoutError, match=r"no SSH answer within 0\.3 s"):
            await pool.run(target, "true", timeout=10)
    await pool.close()


async def test_silent_hosts_take_no_handshake_from_others(host: FleetHost) -> None:
    pool = SshPool(connect_timeout=5.0, handshakes=1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        private, public = new_key_pair("x")
        dead = [SshTarget(f"d{n}", "127.0.0.1", silent.getsockname()[1], f"u{n}", private, public) for n in range(4)]
        stuck = [asyncio.create_task(pool.run(target, "true", timeout=1.0)) for target in dead]
        await asyncio.sleep(0.05)
        result = await pool.run(host.target(), "echo here", timeout=3)
        assert result.stdout == "here\n"
        outcomes = await asyncio.gather(*stuck, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [HostTimeoutError] * 4
    await pool.close()


async def test_a_timeout_kills_the_command(host: FleetHost, pool: SshPool) -> None:
    with pytest.raises(HostTimeoutError, match=r"did not end within 0\.5 s"):
        await pool.run(host.target(), "echo $$ > pid; trap '' HUP; sleep 60; sleep 60", timeout=0.5)
    pid = int((host.home / "pid").read_text())
    await until(lambda: not runs(pid))
    assert (await pool.run(host.target(), "echo on", timeout=10)).stdout == "on\n"
    assert host.connections == 1


async def test_big_output_is_cut_and_the_command_ends(host: FleetHost, pool: SshPool) -> None:
    result = await pool.run(host.target(), "head -c 5000000 /dev/zero; echo no >&2", timeout=20, limit=1000)
    assert result.exit_status == 0
    assert result.truncated
    assert (len(result.stdout), result.stderr) == (1000, "no\n")


async def test_bytes_that_are_no_text_are_replaced(host: FleetHost, pool: SshPool) -> None:
    result = await pool.run(host.target(), r"printf 'gr\303\274n \377\000 \303'", timeout=10)
    assert result.stdout == "grün \ufffd\0 \ufffd"


async def test_stdin_arrives_whole_and_ends(host: FleetHost, pool: SshPool) -> None:
    data = os.urandom(300_000)
    result = await pool.run(host.target(), "wc -c", timeout=10, stdin=data)
    assert result.stdout.strip() == "300000"


async def test_a_hundred_commands_share_one_connection(host: FleetHost, pool: SshPool) -> None:
    results = await asyncio.gather(*(pool.run(host.target(), f"echo {n}", timeout=30) for n in range(100)))
    assert [result.stdout for result in results] == [f"{n}\n" for n in range(100)]
    assert host.connections == 1


async def test_a_lost_connection_is_made_again(host: FleetHost, pool: SshPool) -> None:
    assert (await pool.run(host.target(), "echo 1", timeout=10)).stdout == "1\n"
    await host.stop()
    await host.start()
    assert (await pool.run(host.target(), "echo 2", timeout=10)).stdout == "2\n"
    assert host.connections == 2


async def test_a_connection_lost_under_a_command_is_an_error_and_runs_it_once(host: FleetHost, pool: SshPool) -> None:
    running = asyncio.create_task(pool.run(host.target(), "echo x >> count; sleep 30", timeout=20))
    await until(lambda: (host.home / "count").exists())
    await host.stop()
    with pytest.raises(HostUnreachableError, match="lost while the command ran"):
        await running
    assert (host.home / "count").read_text() == "x\n"


async def test_lines_come_while_the_command_runs(host: FleetHost, pool: SshPool) -> None:
    command = "echo one; read line; echo two >&2; printf 'no end'; exit 3"
    got = [item async for item in pool.stream(host.target(), command, timeout=10, stdin=b"go\n")]
    assert got[-1] == ("exit", "3")
    assert sorted(got[:-1]) == [("stderr", "two"), ("stdout", "no end"), ("stdout", "one")]


async def test_a_slow_reader_makes_the_command_wait_and_loses_nothing(host: FleetHost, pool: SshPool) -> None:
    count = 0
    async for name, line in pool.stream(host.target(), "seq 1 60000", timeout=30):
        if name == "exit":
            assert line == "0"
            break
        count += 1
        assert line == str(count)
        if count == 1:
            await asyncio.sleep(0.2)
    assert count == 60000


async def test_leaving_a_stream_kills_its_command(host: FleetHost, pool: SshPool) -> None:
    lines = pool.stream(host.target(), "echo $$; while :; do sleep 0.05; echo y; done", timeout=30)
    _, pid = await anext(lines)
    await lines.aclose()  # type: ignore[attr-defined] # an async generator, typed as its protocol
    await until(lambda: not runs(int(pid)))


async def test_a_stream_has_a_timeout(host: FleetHost, pool: SshPool) -> None:
    with pytest.raises(HostTimeoutError):
        await anext(pool.stream(host.target(), "sleep 30", timeout=0.4))


async def test_wait_ready_waits_for_a_host_to_come_up(host: FleetHost, pool: SshPool) -> None:
    target = host.target()
    await host.stop()
    waiting = asyncio.create_task(pool.wait_ready(target, 10.0))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await host.start()
    await waiting
    assert len(pool) == 1


async def test_wait_ready_gives_up_at_once_on_a_wrong_host_key(host: FleetHost, pool: SshPool) -> None:
    _, other = new_key_pair("other")
    begun = time.monotonic()
    with pytest.raises(HostKeyError):
        await pool.wait_ready(host.target(host_key=other), 20.0)
    assert time.monotonic() - begun < 5


async def test_wait_ready_ends_at_its_deadline(pool: SshPool) -> None:
    private, public = new_key_pair("x")
    with pytest.raises(HostUnreachableError):
        await pool.wait_ready(SshTarget("gone", "127.0.0.1", free_port(), "u", private, public), 0.5)


async def test_idle_connections_close_and_the_pool_is_bounded(host: FleetHost) -> None:
    pool = SshPool(size=1, idle_timeout=0.2)
    others = [SshTarget("vm", "127.0.0.1", host.port, f"user{n}", host.user_private, host.host_public) for n in (1, 2)]
    async with asyncio.timeout(20):
        results = await asyncio.gather(*(pool.run(target, "echo x", timeout=10) for target in others * 3))
        assert all(result.ok for result in results)
        assert len(pool) == 1
        await until(lambda: len(pool) == 0)
    await pool.close()


@pytest.mark.parametrize("how", ["forget", "close"])
async def test_forget_and_close_end_what_runs(host: FleetHost, pool: SshPool, how: str) -> None:
    running = asyncio.create_task(pool.run(host.target(), "sleep 30", timeout=20))
    await until(lambda: len(host.started) == 1)
    await (pool.forget(host.target()) if how == "forget" else pool.close())
    with pytest.raises(HostUnreachableError):
        await running


async def test_a_closed_pool_says_so(host: FleetHost, pool: SshPool) -> None:
    await pool.close()
    with pytest.raises(HostUnreachableError, match="stopping"):
        await pool.run(host.target(), "true", timeout=5)
