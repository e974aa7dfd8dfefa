"""A disc image (ISO 9660) with a few small files, for NoCloud seeds. Pure. In: names and bytes. Out: the image.

Names are kept as they are ("user-data"), which Linux and cloud-init read well and the strictest level of the standard
would not allow. One flat folder, no extensions of the standard.
"""

import struct

SECTOR = 2048
_SYSTEM_AREA = 16
_DESCRIPTOR, _END, _LITTLE, _BIG, _ROOT, _FILES = 16, 17, 18, 19, 20, 21
"""Sectors: volume descriptor, end of descriptors, path table twice, root folder, files from here on."""
_WHEN = bytes((126, 1, 1, 0, 0, 0, 0))
"""One fixed date (2026-01-01), so that the same files give the same image."""


def iso_image(label: str, files: dict[str, bytes]) -> bytes:
    """The whole image; ``label`` is the volume's name (at most 32 characters), ValueError if the folder is too full."""
    at, records = _FILES, [_record(b"\0", _ROOT, SECTOR, folder=True), _record(b"\1", _ROOT, SECTOR, folder=True)]
    content = bytearray()
    for name, data in sorted(files.items()):
        records.append(_record(f"{name};1".encode(), at, len(data)))
        content += data + bytes(-len(data) % SECTOR)
        at = _FILES + len(content) // SECTOR
    root = b"".join(records)
    if len(root) > SECTOR:
        raise ValueError("too many files for one sector of names")
    table = (_path_table("<"), _path_table(">"))
    head = [_descriptor(label, at, len(table[0])), b"\xffCD001\x01", table[0], table[1], root]
    return bytes(_SYSTEM_AREA * SECTOR) + b"".join(part.ljust(SECTOR, b"\0") for part in head) + bytes(content)


def _both(form: str, value: int) -> bytes:
    """A number in both byte orders, as the standard likes it."""
    return struct.pack(f"<{form}", value) + struct.pack(f">{form}", value)


def _record(name: bytes, sector: int, size: int, folder: bool = False) -> bytes:
    """One entry of the root folder."""
    body = b"\0" + _both("I", sector) + _both("I", size) + _WHEN + bytes((2 if folder else 0, 0, 0))
    body += _both("H", 1) + bytes((len(name),)) + name
    body += bytes(1 - len(body) % 2)
    return bytes((len(body) + 1,)) + body


def _path_table(order: str) -> bytes:
    return bytes((1, 0)) + struct.pack(f"{order}IH", _ROOT, 1) + b"\0\0"


def _descriptor(label: str, sectors: int, table: int) -> bytes:
    """The primary volume descriptor."""
    stamp, never = b"2026010100000000\0", b"0000000000000000\0"
    return b"".join(
        (
            b"\x01CD001\x01\0", b" " * 32, label.encode()[:32].ljust(32), bytes(8), _both("I", sectors), bytes(32),
            _both("H", 1), _both("H", 1), _both("H", SECTOR), _both("I", table),
            struct.pack("<II", _LITTLE, 0), struct.pack(">II", _BIG, 0),
            _record(b"\0", _ROOT, SECTOR, folder=True), b" " * 128, b" " * 128, b" " * 128, b" " * 128, b" " * 37 * 3,
            stamp, stamp, never, never, b"\x01\0",
        )
    )  # fmt: skip
