"""One agent installation: from a VM row and a token to the fleet's installer."""

from mcisd.daemon.fleet.installer import install_agent
from mcisd.daemon.fleet.payload import AgentSpec
from mcisd.daemon.fleet.ssh import SshPool
from mcisd.daemon.settings import AgentSettings
from mcisd.daemon.targets import Targets
from mcisd.model.errors import ConfigError
from mcisd.model.records import Vm

SERVER_NAME = "collector.mcisd"


class Installer:
    """``advertise`` is the ``host:port`` that agents call."""

    def __init__(
        self,
        pool: SshPool,
        targets: Targets,
        bundle: bytes,
        ca_pem: str,
        advertise: str,
        settings: AgentSettings,
        version: str,
    ) -> None:
        host, _, port = advertise.rpartition(":")
        if not host or not port.isdigit():
            raise ConfigError(
                f"setting collector.advertise {advertise!r} is no host:port",
                field="collector.advertise",
                remedy="give one such as monitor.example.org:8881",
            )
        self._pool = pool
        self._targets = targets
        self._server = (host, int(port))
        self._bundle = bundle
        self._ca_pem = ca_pem
        self._settings = settings
        self._version = version

    async def install(self, vm: Vm, token: str) -> str:
        """Install or replace the agent of ``vm``; returns the version. Raises HostError."""
        spec = AgentSpec(
            vm=vm.uid,
            token=token,
            servers=(self._server,),
            server_name=SERVER_NAME,
            ca_pem=self._ca_pem,
            interval_ms=int(self._settings.interval_s * 1000),
            bundle=self._bundle,
            version=self._version,
        )
        target = await self._targets.one(vm)
        await install_agent(self._pool, target, spec, timeout=self._settings.install_timeout_s)
        return self._version
