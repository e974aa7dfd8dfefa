"""What a VM reads at its first boot, as a small disk. Pure. In: a VM request. Out: bytes, which hold a secret.

The secret is the host key. Two forms: "cloud-init" is a NoCloud disc; "tar" is a plain archive for images that have no
cloud-init but a unit that unpacks /dev/vdb over / and runs /var/lib/mcisd/first-boot.
"""

import io
import json
import tarfile

from mcisd.drivers.firstboot import HOST_KEY, cloud_config, host_public_key, shell_script
from mcisd.drivers.libvirt.iso import iso_image
from mcisd.model.cloud import VmRequest

CLOUD_INIT, TAR = "cloud-init", "tar"
FORMS = (CLOUD_INIT, TAR)
FIRST_BOOT = "/var/lib/mcisd/first-boot"


def seed_disk(form: str, request: VmRequest, item_id: str) -> bytes:
    """The disk's content; CloudInvalidError if the request's host key is none."""
    return _tar(request) if form == TAR else _disc(request, item_id)


def _disc(request: VmRequest, item_id: str) -> bytes:
    meta = json.dumps({"instance-id": item_id, "local-hostname": request.name})
    return iso_image("cidata", {"meta-data": meta.encode(), "user-data": cloud_config(request).encode()})


def _tar(request: VmRequest) -> bytes:
    files = {
        "/etc/hostname": (f"{request.name}\n", 0o644),
        HOST_KEY: (request.host_key, 0o600),
        f"{HOST_KEY}.pub": (host_public_key(request.host_key) + "\n", 0o644),
        FIRST_BOOT: (shell_script(request), 0o700),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, (text, mode) in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(text.encode()), mode
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()
