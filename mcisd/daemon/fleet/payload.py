"""What travels to a VM in one piece: an agent's settings in, a deterministic tar and the line that unpacks it out."""

import importlib.resources
import io
import json
import tarfile
from dataclasses import dataclass, field

_STAMP = 946_684_800  # the year 2000: tar warns of times before 1980, and equal input gives equal bytes

# One line that every login shell takes. The tar is the standard input; what is in it says the rest.
INSTALL_COMMAND = (
    "exec /bin/sh -c '"
    'umask 077; new="$HOME/.mcisd/agent.new.$$"; mkdir -p "$new" && cd "$new" || exit 1; '
    'tar -xof - && exec /bin/sh "$new/install.sh"; '
    'status=$?; cd "$HOME"; rm -rf "$new"; exit $status\''
)
REMOVE_COMMAND = "exec /bin/sh -s"


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """What one VM's agent needs to know.

    ``vm`` is the VM's uid, ``token`` its own secret; ``servers`` the collectors as (host, port), tried in order;
    ``server_name`` the name their certificate must carry, ``ca_pem`` who must have signed it; ``bundle`` the zipapp.
    """

    vm: str
    token: str = field(repr=False)
    servers: tuple[tuple[str, int], ...]
    server_name: str
    ca_pem: str = field(repr=False)
    interval_ms: int
    bundle: bytes = field(repr=False)
    version: str


def install_tar(spec: AgentSpec) -> bytes:
    """The agent, its settings and the scripts as an uncompressed tar; the same spec gives the same bytes."""
    files = {
        "agent.json": json.dumps(_settings(spec), sort_keys=True).encode(),
        "agent.pyz": spec.bundle,
        "ca.pem": spec.ca_pem.encode(),
        "common.sh": script("common.sh"),
        "install.sh": script("install.sh"),
        "run.sh": script("run.sh"),
        "version": f"{spec.version}\n".encode(),
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(data), _STAMP, 0o600
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def remove_script() -> bytes:
    """What takes an agent off a host, for the standard input of ``REMOVE_COMMAND``."""
    return script("common.sh") + script("remove.sh")


def script(name: str) -> bytes:
    """One of our shell scripts."""
    return importlib.resources.files(__package__).joinpath("scripts", name).read_bytes()


def _settings(spec: AgentSpec) -> dict[str, object]:
    return {
        "vm": spec.vm,
        "token": spec.token,
        "servers": [list(server) for server in spec.servers],
        "server_name": spec.server_name,
        "ca": "ca.pem",
        "interval_ms": spec.interval_ms,
        "spool_dir": "spool",
    }
