"""One agent installation: from a VM row and a token to the fleet's installer."""

import hashlib
from collections.abc import Callable

from mcisd.daemon.fleet.installer import install_agent
from mcisd.daemon.fleet.payload import AgentSpec
from mcisd.daemon.fleet.ssh import SshPool
from mcisd.daemon.settings import AgentSettings
from mcisd.daemon.targets import Targets
from mcisd.model.errors import ConfigError, HostUnreachableError
from mcisd.model.records import Vm

SERVER_NAME = "collector.mcisd"


Servers = Callable[[Vm], list[tuple[str, int]]]
"""The collectors that the agent of a VM should call, best first."""


class Installer:
    """``version`` names program and bundle, so that agents of an older one are known."""

    def __init__(
        self,
        pool: SshPool,
        targets: Targets,
        bundle: bytes,
        ca_pem: str,
        servers: Servers,
        settings: AgentSettings,
        version: str,
    ) -> None:
        self._pool = pool
        self._targets = targets
        self._servers = servers
        self._bundle = bundle
        self._ca_pem = ca_pem
        self._settings = settings
        self.version = f"{version}+{hashlib.sha256(bundle).hexdigest()[:8]}"

    async def install(self, vm: Vm, token: str) -> str:
        """Install or replace the agent of ``vm``; returns the version. Raises HostError."""
        servers = self._servers(vm)
        if not servers:
            raise HostUnreachableError(f"no collector runs that the agent of {vm.name} could call")
        spec = AgentSpec(
            vm=vm.uid,
            token=token,
            servers=tuple(servers),
            server_name=SERVER_NAME,
            ca_pem=self._ca_pem,
            interval_ms=int(self._settings.interval_s * 1000),
            bundle=self._bundle,
            version=self.version,
        )
        target = await self._targets.one(vm)
        await install_agent(self._pool, target, spec, timeout=self._settings.install_timeout_s)
        return self.version


def parse_address(address: str) -> tuple[str, int]:
    """``host:port`` as agents are told to call it; ConfigError if it is none."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(
            f"setting collector.advertise {address!r} is no host:port",
            field="collector.advertise",
            remedy="give one such as monitor.example.org:8881",
        )
    return host, int(port)
