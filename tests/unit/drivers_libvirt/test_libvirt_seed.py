"""What a VM reads at its first boot. In: requests. Out: tests that read the disks as a guest would."""

import io
import json
import struct
import tarfile

import asyncssh
import pytest

from mcisd.drivers.libvirt.iso import SECTOR, iso_image
from mcisd.drivers.libvirt.seed import FIRST_BOOT, TAR, seed_disk
from mcisd.model.cloud import VmRequest
from mcisd.model.errors import CloudInvalidError

KEY = asyncssh.generate_private_key("ssh-ed25519")
REQUEST = VmRequest(
    "tok", "web-1", "debian-12.qcow2", "1-1", "net", "net", (), "key", "debian", KEY.export_private_key().decode(),
    "ssh-ed25519 AAAA me", None, {},
)  # fmt: skip


def files_on(image: bytes) -> dict[str, bytes]:
    """Walk the root folder from the volume descriptor on, as a file system driver does."""
    descriptor = image[16 * SECTOR : 17 * SECTOR]
    assert descriptor[:6] == b"\x01CD001"
    assert struct.unpack_from("<I", descriptor, 80)[0] * SECTOR == len(image)
    start, size = struct.unpack_from("<I4xI", descriptor, 158)
    found, at, folder = {}, 0, image[start * SECTOR : start * SECTOR + size]
    while at < len(folder) and folder[at]:
        record = folder[at : at + folder[at]]
        sector, length = struct.unpack_from("<I4xI", record, 2)
        assert (sector, length) == struct.unpack_from(">4xI4xI", record, 2)
        name = record[33 : 33 + record[32]]
        if not record[25] & 2:
            found[name.decode().removesuffix(";1")] = image[sector * SECTOR : sector * SECTOR + length]
        at += folder[at]
    return found


def test_disc_for_cloud_init() -> None:
    image = seed_disk("cloud-init", REQUEST, "id-1")
    assert image[16 * SECTOR + 40 : 16 * SECTOR + 72].rstrip() == b"cidata"
    files = files_on(image)
    assert json.loads(files["meta-data"]) == {"instance-id": "id-1", "local-hostname": "web-1"}
    first, _, body = files["user-data"].decode().partition("\n")
    assert first == "#cloud-config"
    config = json.loads(body)
    assert config["users"][0]["ssh_authorized_keys"] == ["ssh-ed25519 AAAA me"]
    assert config["ssh_keys"]["ed25519_private"] == REQUEST.host_key
    assert image == seed_disk("cloud-init", REQUEST, "id-1"), "a second try writes the same"


@pytest.mark.parametrize("sizes", [(), (0,), (1, SECTOR, SECTOR + 1), (5 * SECTOR, 0, 7)])
def test_discs_of_all_sizes(sizes: tuple[int, ...]) -> None:
    files = {f"file-{number}.txt": bytes([number + 1]) * size for number, size in enumerate(sizes)}
    assert files_on(iso_image("label", files)) == files


def test_a_disc_has_room_for_few_names() -> None:
    with pytest.raises(ValueError, match="too many"):
        iso_image("label", {f"{number:0100}": b"" for number in range(20)})


def test_tar_for_images_without_cloud_init() -> None:
    with tarfile.open(fileobj=io.BytesIO(seed_disk(TAR, REQUEST, "id-1"))) as archive:
        members = {member.name: member for member in archive.getmembers()}
        key = archive.extractfile("etc/ssh/ssh_host_ed25519_key")
        assert key is not None
        assert key.read().decode() == REQUEST.host_key
    assert members["etc/ssh/ssh_host_ed25519_key"].mode == 0o600
    assert members[FIRST_BOOT.lstrip("/")].mode == 0o700
    assert "etc/hostname" in members


def test_a_host_key_that_is_none_is_refused() -> None:
    for form in ("cloud-init", TAR):
        with pytest.raises(CloudInvalidError):
            seed_disk(form, VmRequest("t", "n", "i", "s", "n", "n", (), "k", "u", "no key"), "id-1")
