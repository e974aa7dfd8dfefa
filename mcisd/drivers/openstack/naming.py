"""How our marks stand at the cloud. Pure. In: installation, token, tags. Out: descriptions, tags and names, and back.

Neutron's objects carry "mcisd INSTALLATION TOKEN" as their description, because that is written in the same request
that makes them; the other tags follow as neutron's tags. Servers have metadata for all of it. Key pairs have neither:
their name holds installation and token, and the comment of the public key the tags.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mcisd.drivers.marks import INSTALLATION, TOKEN
from mcisd.model.errors import CloudInvalidError

WORD = "mcisd"
TAG_LIMIT = 60
"""Characters of a neutron or nova tag."""
INNER = "mcisd-os-"
"""What begins so is the driver's own and is not shown."""
_PLAIN = re.compile(r"[A-Za-z0-9-]{1,100}")
_LONG = re.compile(r"~([0-9a-f]{8})([0-9a-f]{2})~(.*)", re.DOTALL)
_ENDED = re.compile(r"ended\.([0-9a-f]{6})\.([0-9a-f]{12})\.([0-9a-f]{32})")
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")


def digest(*parts: str) -> str:
    """A short, stable name of these texts: 32 hexadecimal digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def is_id(text: str) -> bool:
    """Whether a text can be an id of the cloud at all; nothing else is ever sent as one."""
    return bool(_ID.fullmatch(text))


def description(installation: str, token: str) -> str:
    """The mark of a neutron object, found again by an exact search."""
    text = f"{WORD} {installation} {token}"
    if len(text) > 255 or " " in installation or " " in token or not token:
        raise CloudInvalidError("the token is empty, too long for OpenStack, or has a space", field="token")
    return text


def owner(text: str | None) -> tuple[str, str] | None:
    """(installation, token) of a description; None if it is not ours."""
    parts = (text or "").split(" ")
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == WORD else None


def to_tags(tags: Mapping[str, str]) -> list[str]:
    """Neutron's tags: "name=value", in pieces where that is too long."""
    made: list[str] = []
    for name, value in sorted(tags.items()):
        text = f"{name}={value}"
        if len(text) <= TAG_LIMIT and not text.startswith("~"):
            made.append(text)
            continue
        head, size = digest(name)[:8], TAG_LIMIT - 12
        made += [f"~{head}{n:02x}~{text[at : at + size]}" for n, at in enumerate(range(0, len(text), size))]
    return made


def from_tags(tags: Iterable[str]) -> dict[str, str]:
    """What ``to_tags`` wrote; other tags are left out."""
    texts: list[str] = []
    pieces: dict[str, list[str]] = {}
    for tag in sorted(tags):
        if piece := _LONG.fullmatch(tag):
            pieces.setdefault(piece[1], []).append(piece[3])
        else:
            texts.append(tag)
    texts += ["".join(parts) for parts in pieces.values()]
    return dict(text.split("=", 1) for text in texts if "=" in text)


def server_tags(installation: str, token: str) -> list[str]:
    """The tags of a server, by which lists of servers are filtered."""
    return [installation_tag(installation), f"{WORD}-t-{digest(token)}"]


def installation_tag(installation: str) -> str:
    return f"{WORD}-i-{digest(installation)}"


def mac(installation: str, token: str) -> str:
    """The hardware address of a VM's port, told by its token.

    Neutron allows each address once in a network: of two controllers that make the same VM at the same moment, one gets
    the port, and the other learns of it.
    """
    raw = bytearray.fromhex(digest(installation, token)[:12])
    raw[0] = raw[0] & 0xFC | 0x02  # locally administered, one station
    return ":".join(f"{byte:02x}" for byte in raw)


@dataclass(frozen=True, slots=True)
class Ended:
    """A note on a network that a VM was terminated: ``hour`` since the epoch, hardware address, the VM's id."""

    hour: int
    mac: str
    vm_id: str

    def tag(self) -> str:
        return f"ended.{self.hour:06x}.{self.mac.replace(':', '')}.{self.vm_id.replace('-', '')}"


def ended(tags: Iterable[str]) -> list[Ended]:
    """The notes among a network's tags, oldest first."""
    found = [
        Ended(int(note[1], 16), ":".join(note[2][n : n + 2] for n in range(0, 12, 2)), _dashed(note[3]))
        for note in map(_ENDED.fullmatch, tags)
        if note
    ]
    return sorted(found, key=lambda note: note.hour)


def key_name(installation: str, token: str) -> str:
    """The name of a key pair. A user's names are unique, so the same token gives the same key."""
    words = [word if _PLAIN.fullmatch(word) else digest(word) for word in (installation, token)]
    return f"{WORD}_{words[0]}_{words[1]}"


def key_line(public_key: str, body: Mapping[str, Any]) -> str:
    """The public key with our marks as its comment."""
    parts = public_key.split()
    if len(parts) < 2 or "\n" in public_key.strip():
        raise CloudInvalidError("the public key is not one OpenSSH line", field="public_key")
    packed = base64.urlsafe_b64encode(json.dumps(dict(body), sort_keys=True).encode()).decode()
    return f"{parts[0]} {parts[1]} {WORD}:{packed}"


def key_body(line: str) -> dict[str, Any] | None:
    """What ``key_line`` wrote; None if the key is not ours."""
    comment = line.split()[2:3]
    if not comment or not comment[0].startswith(f"{WORD}:"):
        return None
    try:
        body = json.loads(base64.urlsafe_b64decode(comment[0].removeprefix(f"{WORD}:")))
    except (ValueError, binascii.Error):
        return None
    return body if isinstance(body, dict) and isinstance(body.get("tags"), dict) else None


def visible(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags without the driver's own and without the token."""
    return {name: value for name, value in tags.items() if name != TOKEN and not name.startswith(INNER)}


def installed(tags: Mapping[str, str], installation: str) -> dict[str, str]:
    """The tags as the core sees them, with the installation that stands in the description."""
    return {**visible(tags), INSTALLATION: installation}


def _dashed(text: str) -> str:
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
