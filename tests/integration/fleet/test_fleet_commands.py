"""run_on_many over real SSH: order does not matter, a dead host does not hold up the others."""

import socket
import time

import pytest

from mcisd.daemon.fleet.commands import Outcome, run_on_many
from mcisd.daemon.fleet.ssh import CommandResult, SshPool, SshTarget
from mcisd.model.errors import HostTimeoutError, InputError
from tests.integration.fleet.fleet_host import FleetHost


def _env(target: SshTarget) -> dict[str, str]:
    return {"MCIS_NAME": target.name, "MCIS_NS": 'it\'s $HOME; "x" `y`\n2'}


async def test_each_vm_sees_its_own_variables_and_reports_as_it_ends(host: FleetHost, pool: SshPool) -> None:
    targets = [host.target(f"vm-{n}") for n in range(20)]
    seen: list[str] = []
    outcomes = await run_on_many(
        pool,
        targets,
        'printf "%s|%s" "$MCIS_NAME" "$MCIS_NS"',
        timeout=20,
        concurrency=4,
        env=_env,
        on_result=lambda name, _: seen.append(name),
    )
    assert sorted(seen) == sorted(outcomes) == sorted(target.name for target in targets)
    for name, outcome in outcomes.items():
        assert isinstance(outcome, CommandResult)
        assert outcome.stdout == f'{name}|it\'s $HOME; "x" `y`\n2'


async def test_a_dead_host_does_not_hold_up_the_others(host: FleetHost, pool: SshPool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dead = SshTarget("dead", "127.0.0.1", silent.getsockname()[1], "u", host.user_private, host.host_public)
        begun, came = time.monotonic(), dict[str, float]()

        def note(name: str, outcome: Outcome) -> None:
            came[name] = time.monotonic() - begun

        targets = [dead, *(host.target(f"vm-{n}") for n in range(5))]
        outcomes = await run_on_many(
            pool, targets, "true", timeout=2.0, concurrency=2, env=lambda _: {}, on_result=note
        )
    assert isinstance(outcomes["dead"], HostTimeoutError)
    assert max(came, key=lambda name: came[name]) == "dead"
    assert all(isinstance(outcomes[f"vm-{n}"], CommandResult) for n in range(5))


async def test_a_bad_variable_name_runs_nothing(host: FleetHost, pool: SshPool) -> None:
    with pytest.raises(InputError, match="no variable name"):
        await run_on_many(
            pool,
            [host.target()],
            "touch ran",
            timeout=5,
            env=lambda _: {"A;touch x": ""},
            on_result=lambda name, outcome: None,
        )
    assert host.started == []
