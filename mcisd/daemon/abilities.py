"""What the clouds of an MCIS can do, asked before anything is begun. In: names. Out: nothing, or a clear refusal."""

from mcisd.daemon.mcis.rows import need_mcis, need_vm
from mcisd.daemon.mcis.rules import check_action
from mcisd.drivers.base import capabilities
from mcisd.drivers.registry import DriverRegistry
from mcisd.model.errors import CloudUnsupportedError
from mcisd.model.records import CloudDriverRecord, Connection, Vm
from mcisd.model.states import Action
from mcisd.store.base import MetadataStore


async def need_hibernation(store: MetadataStore, registry: DriverRegistry, ns: str, infra: str, vm: str = "") -> None:
    """CloudUnsupportedError if the cloud of one of the VMs that a suspension now would concern cannot hibernate."""
    async with store.reading() as tx:
        mcis = await need_mcis(tx, ns, infra)
        vms = [await need_vm(tx, mcis, vm)] if vm else await tx.find(Vm, mcis=mcis.uid)
        names = {one.connection for one in vms if check_action(one, Action.SUSPEND) is None}
        connections = [row for row in await tx.find(Connection) if row.name in names]
        paths = {row.name: row.path for row in await tx.find(CloudDriverRecord)}
    for connection in connections:
        driver = registry.load(connection.driver, paths.get(connection.driver) or None)
        if not capabilities(driver.connection)["Hibernate"]:
            raise CloudUnsupportedError(
                f"the cloud of connection {connection.name} cannot hibernate VMs",
                field="hibernate",
                remedy="suspend without it",
            )
