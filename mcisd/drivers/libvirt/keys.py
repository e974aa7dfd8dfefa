"""Key pairs: cards, as a hypervisor knows no keys. In: requests. Out: our nouns. Blocks."""

import base64
import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from mcisd.drivers.libvirt import cards, machine
from mcisd.drivers.libvirt.cards import Card
from mcisd.drivers.libvirt.ground import Ground
from mcisd.drivers.libvirt.hypervisor import Hypervisor
from mcisd.model.cloud import KeyPairInfo, KeyPairRequest
from mcisd.model.errors import CloudInvalidError


def create(hv: Hypervisor, ground: Ground, request: KeyPairRequest) -> KeyPairInfo:
    fingerprint = fingerprint_of(request.public_key)
    item_id = cards.object_id(ground.installation, cards.KEY, request.token)
    with ground.lock(item_id):
        known = ground.book.domain(hv, cards.KEY, item_id)
        if known is not None:
            return _info(item_id, known[1])
        facts: dict[str, object] = {"public_key": request.public_key.strip(), "fingerprint": fingerprint}
        card = cards.new_card(cards.KEY, request.name, request.tags, ground.installation, request.token, facts)
        hv.define_domain(machine.card_definition(ground.settings, item_id, card))
        return _info(item_id, card)


def listing(hv: Hypervisor, ground: Ground) -> list[KeyPairInfo]:
    return [_info(entry.id, entry.card) for entry in ground.book.domains(hv, cards.KEY)]


def delete(hv: Hypervisor, ground: Ground, key_id: str) -> None:
    """VMs that were made with it keep it."""
    with ground.lock(key_id):
        known = ground.book.domain(hv, cards.KEY, key_id)
        if known is not None:
            known[0].undefine(ground.settings.test)


def fingerprint_of(public_key: str) -> str:
    """As ``ssh-keygen -l`` shows it; CloudInvalidError if it is no OpenSSH public key."""
    try:
        load_ssh_public_key(public_key.encode())
        blob = base64.b64decode(public_key.split()[1])
    except (ValueError, IndexError, UnsupportedAlgorithm):
        raise CloudInvalidError(
            "public_key is no OpenSSH public key", field="public_key", remedy="give one line such as ssh-ed25519 AAAA…"
        ) from None
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _info(item_id: str, card: Card) -> KeyPairInfo:
    return KeyPairInfo(item_id, card.name, card.text("fingerprint"), card.shown_tags)
