"""What stands behind the column "GCP": our own stub, and the troubles it can bring. In: a stub. Out: a DriverBench."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from mcisd.drivers.gcp.driver import GcpDriver
from mcisd.model.cloud import ConnectionSpec
from tests.clouds.gcp.faces import Refusal
from tests.clouds.gcp.machines import MachineProject
from tests.clouds.gcp.server import Stub
from tests.clouds.gcp.tokens import key_file, private_key
from tests.conformance.driver_bench import DriverBench, Trouble, fresh

REGION = "asia-northeast3"
IMAGE = "projects/debian-cloud/global/images/debian-12-bookworm-v20261110"
DENIED = Refusal(
    403, "forbidden", "Required 'compute.instances.create' permission for 'projects/p/zones/z/instances/i'"
)
BUSY = Refusal(403, "rateLimitExceeded", "Rate Limit Exceeded")
BROKEN = Refusal(503, "backendError", "Backend Error")


def self_signed(folder: Path) -> Path:
    """A certificate that nobody trusts, with its key, as one file."""
    key, name = private_key("tls"), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.now(UTC) - timedelta(days=1)
    built = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), start, start + timedelta(30)
    )
    pem = built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "self-signed.pem"
    path.write_bytes(secret + pem)
    return path


@dataclass(kw_only=True)
class GcpBench(DriverBench):
    """One project of the stub, made for one test."""

    stub: Stub
    project: MachineProject

    async def settle(self) -> None:
        await asyncio.sleep(0.02)

    @asynccontextmanager
    async def trouble(self, kind: Trouble, times: int = 1) -> AsyncIterator[None]:
        self._begin(kind, times)
        try:
            yield
        finally:
            self._end()

    def _begin(self, kind: Trouble, times: int) -> None:
        tokens, project = self.stub.tokens, self.project
        match kind:
            case Trouble.EXPIRED_KEY:
                tokens.revoked = True
            case Trouble.CLOCK_SKEW:
                tokens.skew = 7200.0
            case Trouble.QUOTA:
                project.limits["CPUS"] = 1.0
            case Trouble.NO_CAPACITY:
                project.no_capacity = True
            case Trouble.LATE_LISTS:
                self.stub.run(lambda: project.conceal(True))
            case Trouble.STALE_LISTS:
                project.show_dead = True
            case Trouble.NO_PERMISSION:
                self.stub.strike = lambda method: DENIED
            case _:
                answers: dict[Trouble, Refusal | str] = {
                    Trouble.THROTTLED: BUSY, Trouble.BROKEN_SERVER: BROKEN, Trouble.LOST_ANSWER: "lose",
                }  # fmt: skip
                left = [answers[kind]] * times
                self.stub.strike = lambda method: left.pop() if left else None

    def _end(self) -> None:
        tokens, project = self.stub.tokens, self.project
        tokens.revoked, tokens.skew = False, 0.0
        project.no_capacity = project.show_dead = False
        project.limits["CPUS"] = 200.0
        project.hide = None
        self.stub.strike = lambda method: None

    async def remove_by_hand(self, vm_id: str) -> None:
        self.stub.run(lambda: self.project.remove_by_hand(vm_id.partition("/")[2]))

    async def first_boot(self, vm_id: str) -> str:
        link = self.project.link("zones/{}/instances/{}".format(*vm_id.split("/")))
        items = self.stub.run(lambda: self.project.machines[link].item["metadata"]["items"])
        found = {item["key"]: item["value"] for item in items}
        assert found["startup-script"].startswith("#!/bin/sh"), "for images without cloud-init"
        return str(found["user-data"])

    def unreachable(self, how: str) -> ConnectionSpec:
        endpoint = self.stub.tls_url if how == "tls" else "http://compute.nowhere.invalid"
        return replace(self.spec, region_info={**self.spec.region_info, "endpoint": endpoint})


def bench_on(stub: Stub) -> GcpBench:
    """A bench with an empty project of its own."""
    project = stub.add_project(fresh("mcisd"))
    uri = f"{stub.url}/token"
    spec = ConnectionSpec(
        "conformance",
        REGION,
        None,
        {"service_account_json": key_file(uri, project.name)},
        {"endpoint": stub.url, "billing_endpoint": stub.url, "operation_pauses": "0.05,0.05,0.1,0.2,0.4,1,2,4"},
    )
    bad = {"service_account_json": key_file(uri, project.name, "somebody else's")}
    return GcpBench(GcpDriver(), spec, bad, IMAGE, "e2-medium", stub=stub, project=project)
