"""What the installer's tests install, and how they see what runs: specs, small zipapps, process ids."""

import datetime
import functools
import io
import shutil
import zipfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mcisd.agent.bundle import build_bundle
from mcisd.daemon.fleet.installer import AgentSpec
from tests.integration.fleet.fleet_host import FleetHost

TOKEN = "tok-7f3a-secret"


def make_spec(bundle: bytes | None = None, version: str = "1") -> AgentSpec:
    return AgentSpec(
        vm="vm-uid-1",
        token=TOKEN,
        servers=(("127.0.0.1", 9),),
        server_name="collector.mcisd",
        ca_pem=certificate_authority(),
        interval_ms=2000,
        bundle=build_bundle() if bundle is None else bundle,
        version=version,
    )


def zipapp(code: str) -> bytes:
    """A zipapp that runs ``code``."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("__main__.py", code)
    return out.getvalue()


def tools(folder: Path, names: str) -> Path:
    """A folder for PATH that has these programs of the system and nothing else."""
    made = folder / "few-tools"
    made.mkdir()
    for name in names.split():
        found = shutil.which(name, path="/usr/bin:/bin")
        if found is not None:
            (made / name).symlink_to(found)
    return made


def pids_with(text: str) -> list[int]:
    """Process ids with ``text`` in their command line, arguments parted by NUL."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in path.read_text(errors="replace"):
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def agents(host: FleetHost) -> list[int]:
    """Process ids of all agents of this home, however they were started."""
    return pids_with(f"{host.home}/.mcisd/agent/agent.pyz\0--config")


def loops(host: FleetHost) -> list[int]:
    """Process ids of the loops that keep them running."""
    return pids_with(f"{host.home}/.mcisd/agent/run.sh\0loop")


@functools.cache
def certificate_authority() -> str:
    """A throw-away certificate as PEM, so that the agent can load it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    return built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
