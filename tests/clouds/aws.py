"""The AWS that tests have: moto's server, before it what moto lacks, and before that a proxy that brings trouble.

Out: ``moto_server()`` for a session, ``aws_cloud(url)`` for a test, and the troubles as rules of the proxy.
"""

import asyncio
import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mcisd.demo.ports import free_port
from mcisd.model.cloud import ConnectionSpec
from tests.clouds.aws_front import GOOD_KEY, GOOD_SECRET, AwsFront
from tests.clouds.proxy import FaultProxy

REGION = "ap-northeast-2"
CANONICAL, DEBIAN = "099720109477", "136693071363"
NOBLE = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04"
IMAGES = {
    "ami-0a0000000000000d2": ("debian-12-amd64-20261013-2264", DEBIAN, "x86_64", "2026-10-13", "/dev/xvda"),
    "ami-0a0000000000000d1": ("debian-12-amd64-20260727-2186", DEBIAN, "x86_64", "2026-07-27", "/dev/xvda"),
    "ami-0a0000000000000d3": ("debian-12-arm64-20261013-2264", DEBIAN, "arm64", "2026-10-13", "/dev/xvda"),
    "ami-0a0000000000000d4": ("debian-12-backports-amd64-20261020-2270", DEBIAN, "x86_64", "2026-10-20", "/dev/xvda"),
    "ami-0a0000000000000e1": (f"{NOBLE}-amd64-server-20261104", CANONICAL, "x86_64", "2026-11-04", "/dev/sda1"),
    "ami-0a0000000000000e2": (f"{NOBLE}-arm64-server-20261104", CANONICAL, "arm64", "2026-11-04", "/dev/sda1"),
    "ami-0a0000000000000e3": (f"{NOBLE}-amd64-server-20260904", CANONICAL, "x86_64", "2026-09-04", "/dev/sda1"),
    "ami-0a0000000000000f1": (f"{NOBLE}-amd64-server-20261120", "123450000000", "x86_64", "2026-11-20", "/dev/sda1"),
}
"""Images of moto's regions: id → name, owner, architecture, day, system disk. The last is a stranger's."""
DEBIAN_12 = "ami-0a0000000000000d2"


@contextlib.contextmanager
def moto_server(folder: Path) -> Iterator[str]:
    """moto's server as a process of its own; gives its address."""
    images = [
        {
            "ami_id": ami_id, "name": name, "owner_id": owner, "architecture": architecture, "description": name,
            "creation_date": f"{day}T00:00:00.000Z", "state": "available", "public": True, "image_type": "machine",
            "root_device_type": "ebs", "root_device_name": disk, "virtualization_type": "hvm", "hypervisor": "xen",
            "image_location": f"amazon/{name}", "platform": None, "sriov": "simple",
        }
        for ami_id, (name, owner, architecture, day, disk) in IMAGES.items()
    ]  # fmt: skip
    path = folder / "amis.json"
    path.write_text(json.dumps(images))
    port = free_port()
    settings = {
        "MOTO_AMIS_PATH": str(path),
        "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
        "MOTO_ENABLE_KEYPAIR_VALIDATION": "true",
        "MOTO_ENABLE_AMI_VALIDATION": "true",
    }
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "moto.log").open("w") as log:
        process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=log, stderr=log)
    try:
        _wait(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(600):
        assert process.poll() is None, "moto's server ended at once; is moto[server,ec2] installed?"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError("moto's server did not come up within 30 s")


@dataclass
class AwsCloud:
    """The cloud of one test."""

    front: AwsFront
    proxy: FaultProxy
    secure: str
    """An https address whose certificate nobody vouches for."""

    def spec(self, region: str = REGION, **info: str) -> ConnectionSpec:
        """A connection to it that works."""
        credential = {"access_key_id": GOOD_KEY, "secret_access_key": GOOD_SECRET}
        return ConnectionSpec("aws-suite", region, None, credential, {"endpoint": self.proxy.url, **info})


@contextlib.asynccontextmanager
async def aws_cloud(moto_url: str) -> AsyncIterator[AwsCloud]:
    async with AwsFront(moto_url) as front, FaultProxy(front.url) as proxy, untrusted() as secure:
        await front.reset()
        yield AwsCloud(front, proxy, secure)


@contextlib.asynccontextmanager
async def untrusted() -> AsyncIterator[str]:
    """A server with a certificate that it made itself; nobody gets as far as to ask it something."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=_context())
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@cache
def self_signed() -> tuple[bytes, bytes]:
    """A certificate for this host that only its own key has signed, and that key; both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    until = now + timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, until)
    host = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = builder.add_extension(host, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private


@cache
def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(self_signed()))
        file.flush()
        context.load_cert_chain(file.name)
    return context
