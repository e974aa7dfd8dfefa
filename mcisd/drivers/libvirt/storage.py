"""Storage pools and volumes of a hypervisor. In: plain values, bytes. Out: the same, and our errors. All blocks.

Bytes go through libvirt's own streams, so that the hypervisor may be elsewhere.
"""

from typing import Any

from mcisd.drivers.libvirt.edge import Edge
from mcisd.model.errors import CloudNotFoundError, CloudTransientError

_CHUNK = 256 * 1024


class Pool:
    """A storage pool, which holds volumes."""

    def __init__(self, edge: Edge, handle: Any) -> None:
        self._edge, self._handle = edge, handle
        self.name = str(handle.name())

    def xml(self) -> str:
        return str(self._edge.call("virStoragePoolGetXMLDesc", self._handle.XMLDesc, 0))

    def active(self) -> bool:
        return bool(self._edge.call("virStoragePoolIsActive", self._handle.isActive))

    def start(self) -> None:
        self._edge.call("virStoragePoolCreate", self._handle.create, 0)

    def refresh(self) -> None:
        """Look for files that came without libvirt."""
        self._edge.call("virStoragePoolRefresh", self._handle.refresh, 0)

    def volumes(self) -> dict[str, "Volume"]:
        """Name → volume."""
        found = self._edge.call("virStoragePoolListAllVolumes", self._handle.listAllVolumes, 0)
        return {str(row.name()): Volume(self._edge, row) for row in found}

    def volume(self, name: str) -> "Volume | None":
        try:
            found = self._edge.call("virStorageVolLookupByName", self._handle.storageVolLookupByName, name)
        except CloudNotFoundError:
            return None
        return Volume(self._edge, found)

    def create(self, xml: str) -> "Volume":
        return Volume(self._edge, self._edge.call("virStorageVolCreateXML", self._handle.createXML, xml, 0))


class Volume:
    def __init__(self, edge: Edge, handle: Any) -> None:
        self._edge, self._handle = edge, handle
        self.name = str(handle.name())

    def path(self) -> str:
        return str(self._edge.call("virStorageVolGetPath", self._handle.path))

    def capacity(self) -> int:
        """Bytes that a guest sees."""
        return int(self._edge.call("virStorageVolGetInfo", self._handle.info)[1])

    def delete(self) -> None:
        """Succeeds if it is gone."""
        try:
            self._edge.call("virStorageVolDelete", self._handle.delete, 0)
        except CloudNotFoundError:
            return

    def write(self, data: bytes) -> None:
        """Put ``data`` at its beginning, wherever the hypervisor is."""
        stream = self._edge.stream()
        self._edge.call("virStorageVolUpload", self._handle.upload, stream, 0, len(data), 0)
        for at in range(0, len(data), _CHUNK):
            self._send(stream, data[at : at + _CHUNK])
        self._edge.call("virStreamFinish", stream.finish)

    def read(self, start: int, most: int) -> bytes:
        """At most ``most`` bytes from ``start`` on."""
        stream, kept = self._edge.stream(), bytearray()
        self._edge.call("virStorageVolDownload", self._handle.download, stream, start, most, 0)

        def keep(_stream: object, data: bytes, _opaque: object) -> int:
            kept.extend(data)
            return len(data)

        self._edge.call("virStreamRecvAll", stream.recvAll, keep, None)
        self._edge.call("virStreamFinish", stream.finish)
        return bytes(kept[:most])

    def _send(self, stream: Any, data: bytes) -> None:
        while data:
            count = int(self._edge.call("virStreamSend", stream.send, data))
            if count <= 0:
                raise CloudTransientError("libvirt: the hypervisor stopped taking data")
            data = data[count:]
