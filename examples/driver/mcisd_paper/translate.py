"""Between mcisd's words and the book's. Pure: in requests, out entries, or an error of mcisd's tree."""

import base64
import binascii
import hashlib

from mcisd.model.cloud import CloudRegion, ImageInfo, Location, SpecInfo
from mcisd.model.errors import CloudInvalidError

REGIONS = [
    CloudRegion("paper-north", Location(59.33, 18.07, "Stockholm")),
    CloudRegion("paper-south", Location(-33.87, 151.21, "Sydney")),
]
IMAGES = [ImageInfo("linux", "Any Linux, drawn with a pencil", "linux", guest_user="writer", alias="debian-12")]
SPECS = [
    SpecInfo("a5", "A5 sheet", 1, 1024, price=0.01, price_date="2026-01-01"),
    SpecInfo("a4", "A4 sheet", 2, 4096, price=0.04, price_date="2026-01-01"),
]


def fingerprint(public_key: str) -> str:
    """``SHA256:…`` of an OpenSSH public key line."""
    try:
        blob = base64.b64decode(public_key.split()[1], validate=True)
    except (IndexError, binascii.Error):
        raise CloudInvalidError("this is not an OpenSSH public key", field="public_key") from None
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
