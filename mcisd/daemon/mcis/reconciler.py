"""The reconciler: one supervised worker for each connection that is this process's, woken by the service."""

from collections.abc import Callable, Collection, Iterable

from mcisd.aio.clock import Clock
from mcisd.aio.supervise import Service
from mcisd.daemon.mcis.worker import ConnectionWorker, Parts
from mcisd.model.records import Connection
from mcisd.store.base import MetadataStore

LEASE = "connection:"


class Reconciler:
    """Owner of the connection workers. ``begin`` and ``end`` are called as leases come and go; ``unknown`` when a
    connection is woken that has no worker here: somebody should see whose it is."""

    def __init__(self, store: MetadataStore, clock: Clock, unknown: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._parts: Parts | None = None
        self._unknown = unknown
        self._workers: dict[str, tuple[ConnectionWorker, Service]] = {}

    def use(self, parts: Parts) -> None:
        """What all workers share; nothing begins before."""
        self._parts = parts

    async def names(self) -> Collection[str]:
        """The work there is: a lease name for each connection."""
        async with self._store.reading() as tx:
            return [LEASE + connection.name for connection in await tx.find(Connection)]

    def owns(self, connection: str) -> bool:
        """Is the connection this process's now?"""
        return connection in self._workers

    async def begin(self, lease: str) -> None:
        """The connection is ours."""
        self.start(lease.removeprefix(LEASE))

    def start(self, name: str) -> None:
        """Work on the connection: what anybody left unfinished there goes on."""
        if self._parts is None or name in self._workers:
            return
        worker = ConnectionWorker(name, self._parts)
        service = Service(f"connection {name}", worker.run, self._clock)
        self._workers[name] = (worker, service)
        service.start()

    async def end(self, lease: str) -> None:
        """It is not any more: stop, then the steps under way; what was asked of a cloud is found again by its token."""
        found = self._workers.pop(lease.removeprefix(LEASE), None)
        if found is not None:
            await found[1].stop()
            await found[0].close()

    def wake(self, connections: Iterable[str]) -> None:
        """These connections have work."""
        for name in connections:
            found = self._workers.get(name)
            if found is None:
                self._unknown(name)
            else:
                found[0].wake()

    async def stop(self) -> None:
        """End all work, the workers first."""
        self._parts = None
        for _, service in self._workers.values():
            await service.stop()
        for worker, _ in self._workers.values():
            await worker.close()
        self._workers.clear()

    def health(self) -> dict[str, str]:
        """Service name → "ok" or its last error."""
        return {service.name: service.error or "ok" for _, service in self._workers.values()}
