"""libvirt's own test hypervisor under a driver's test. In: an empty host per test. Out: a bench that brings trouble.

It lives in this process and is gone with its last connection, so one connection is kept open by the bench: also the
"other hand" at the hypervisor, which removes VMs and fills the memory.
"""

import asyncio
import contextlib
import datetime
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mcisd.drivers.libvirt.cards import part_name
from mcisd.drivers.libvirt.edge import Edge
from mcisd.drivers.libvirt.errors import Code, translated
from mcisd.model.cloud import ConnectionSpec
from tests.conformance.driver_bench import DriverBench, Trouble
from tests.matrix import Lacking

libvirt: Any = pytest.importorskip("libvirt", reason="libvirt-python is missing (tools/libvirt.sh installs it)")
READS = re.compile(r"^vir[A-Z][a-z]+(\w*Get|\w*List|\w*Lookup|\w*Is|Pool\w*(Get|List|Lookup|Is|Refresh)|Vol\w*Get)")
HOG = "<domain type='{}'><name>hog</name><memory unit='MiB'>3000</memory><os><type>hvm</type></os></domain>"


@dataclass(kw_only=True)
class LibvirtBench(DriverBench):
    """``other`` is the connection of somebody else to the same hypervisor; ``folder`` is for certificates."""

    other: Any
    folder: Path
    kind: str = "test"
    servers: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    async def settle(self) -> None:
        await asyncio.sleep(0.01)

    async def remove_by_hand(self, vm_id: str) -> None:
        domain = self.other.lookupByUUIDString(vm_id)
        domain.destroy()
        domain.undefine()

    def unreachable(self, how: str) -> ConnectionSpec:
        uri = "qemu+tcp://no-such-host.invalid/system"
        if how == "tls":
            port = self.servers.enter_context(untrusted_server(self.folder))
            uri = f"qemu+tls://localhost:{port}/system?pkipath={self.folder}"
        return replace(self.spec, credential={"uri": uri})

    async def clean(self) -> None:
        await super().clean()
        await asyncio.to_thread(self.servers.close)

    @asynccontextmanager
    async def trouble(self, kind: Trouble, times: int = 1) -> AsyncIterator[None]:
        match kind:
            case Trouble.NO_CAPACITY:
                with self._full():
                    yield
            case Trouble.NO_PERMISSION:
                with self._read_only():
                    yield
            case Trouble.BROKEN_SERVER | Trouble.LOST_ANSWER:
                with strikes(times, after=kind is Trouble.LOST_ANSWER):
                    yield
            case _:
                raise Lacking(kind.value)

    @contextmanager
    def _full(self) -> Iterator[None]:
        """Somebody else's VM takes nearly all memory."""
        hog = self.other.defineXML(HOG.format(self.kind))
        hog.create()
        try:
            yield
        finally:
            hog.destroy()
            hog.undefine()

    @contextmanager
    def _read_only(self) -> Iterator[None]:
        """The rights of our user were taken back: libvirt lets it read only."""
        real = libvirt.openAuth

        def reading(uri: str, auth: list[object], _flags: int) -> Any:
            return real(uri, auth, libvirt.VIR_CONNECT_RO)

        self._reconnect()
        with mock.patch.object(libvirt, "openAuth", reading):
            yield
        self._reconnect()

    def _reconnect(self) -> None:
        """Every connection of the driver's opens the hypervisor anew at its next call."""
        for connection in self.opened:
            connection._link._drop()  # type: ignore[attr-defined]  # as if it had broken


@dataclass(kw_only=True)
class QemuBench(LibvirtBench):
    """A real hypervisor: guests take real time, and their first-boot disks are real files."""

    kind: str = "qemu"

    async def settle(self) -> None:
        await asyncio.sleep(0.1)

    async def first_boot(self, vm_id: str) -> str:
        name = f"{part_name(self.installation, vm_id)}-seed.img"
        path = self.other.storagePoolLookupByName("default").storageVolLookupByName(name).path()
        return await asyncio.to_thread(lambda: Path(path).read_bytes().decode(errors="replace"))


@contextmanager
def strikes(times: int, *, after: bool) -> Iterator[None]:
    """The connection breaks at the next ``times`` requests that change something: before, or ``after`` their effect."""
    real, left = Edge.call, [times]

    def call(edge: Edge, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        if READS.match(name) or left[0] <= 0:
            return real(edge, name, function, *arguments)
        left[0] -= 1
        if after:
            real(edge, name, function, *arguments)
        raise translated(Code.RPC, "Cannot recv data: Connection reset by peer")

    with mock.patch.object(Edge, "call", call):
        yield


def clear(other: Any) -> None:
    """Leave no memories of earlier tests, nor libvirt's own example of a VM, which is larger than its host."""
    for domain in other.listAllDomains(0):
        if domain.name() == "test" or domain.name().startswith("mcisd-ended-"):
            if domain.isActive():
                domain.destroy()
            domain.undefine()


@contextmanager
def untrusted_server(folder: Path) -> Iterator[int]:
    """A TLS server on loopback whose certificate ``folder``/cacert.pem does not vouch for; yields its port."""
    for name in ("cacert", "server"):
        certificate, key = self_signed(name)
        (folder / f"{name}.pem").write_bytes(certificate)
        (folder / f"{name}.key").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_greet, args=(listening, context), daemon=True)
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _greet(listening: socket.socket, context: ssl.SSLContext) -> None:
    """Shake hands with each caller until the socket is shut."""
    while True:
        try:
            caller, _ = listening.accept()
        except OSError:
            return
        caller.settimeout(5)
        with caller, contextlib.suppress(OSError):
            context.wrap_socket(caller, server_side=True).close()


def self_signed(name: str) -> tuple[bytes, bytes]:
    """A certificate authority for localhost that vouches for itself, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return built.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
