"""The reconciler: one supervised worker per connection, started on demand, woken by the service."""

from collections.abc import Iterable

from mcisd.aio.clock import Clock
from mcisd.aio.supervise import Service
from mcisd.daemon.mcis.worker import ConnectionWorker, Parts
from mcisd.model.records import Connection
from mcisd.store.base import MetadataStore


class Reconciler:
    """Owner of the connection workers."""

    def __init__(self, store: MetadataStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._parts: Parts | None = None
        self._workers: dict[str, tuple[ConnectionWorker, Service]] = {}

    async def start(self, parts: Parts) -> None:
        """Begin with every connection there is: what a previous run left unfinished goes on."""
        self._parts = parts
        async with self._store.reading() as tx:
            connections = await tx.find(Connection)
        self.wake(connection.name for connection in connections)

    def wake(self, connections: Iterable[str]) -> None:
        """These connections have work; nothing happens before ``start``."""
        if self._parts is None:
            return
        for name in connections:
            if name not in self._workers:
                worker = ConnectionWorker(name, self._parts)
                service = Service(f"connection {name}", worker.run, self._clock)
                self._workers[name] = (worker, service)
                service.start()
            self._workers[name][0].wake()

    async def forget(self, connection: str) -> None:
        """The connection was deleted."""
        found = self._workers.pop(connection, None)
        if found is not None:
            await found[1].stop()
            await found[0].close()

    def health(self) -> dict[str, str]:
        """Service name → "ok" or its last error."""
        return {service.name: service.error or "ok" for _, service in self._workers.values()}

    async def stop(self) -> None:
        """Stop all workers, then the steps under way; what was asked of a cloud is found again by its token."""
        self._parts = None
        for _, service in self._workers.values():
            await service.stop()
        for worker, _ in self._workers.values():
            await worker.close()
        self._workers.clear()
