"""What we write on libvirt's objects to know them again. Pure. In: a card. Out: an XML element, and back.

Domains and networks take metadata of others in their definition. Key pairs, security groups and the memory of
terminated VMs have no object of their own at a hypervisor: theirs is the definition of a domain that is never started.
So all is at the hypervisor itself, seen by every controller and after every restart.
"""

import hashlib
import json
import re
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field, replace

from mcisd.drivers.marks import TOKEN, marked, ours, shown

NAMESPACE = "urn:mcisd:libvirt:1"
PREFIX = "mcisd"
KEY, GROUP, NETWORK, VM, ENDED = "key", "group", "network", "vm", "ended"
_ROOT = uuid.UUID("6d636973-6400-5c0d-8a1b-6c6962766972")
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")
ET.register_namespace(PREFIX, NAMESPACE)


@dataclass(frozen=True, slots=True)
class Card:
    """``tags`` with our marks; ``facts`` are what the kind needs (plain JSON values)."""

    kind: str
    name: str
    tags: dict[str, str]
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def token(self) -> str:
        return self.tags.get(TOKEN, "")

    @property
    def shown_tags(self) -> dict[str, str]:
        return shown(self.tags)

    def text(self, name: str) -> str:
        """A fact that is a string, "" if there is none."""
        return str(self.facts.get(name, ""))

    def number(self, name: str) -> float:
        """A fact that is a number, 0 if there is none."""
        value = self.facts.get(name, 0)
        return float(value) if isinstance(value, int | float) else 0.0

    def texts(self, name: str) -> list[str]:
        """A fact that is a list of strings."""
        value = self.facts.get(name, [])
        return [str(item) for item in value] if isinstance(value, list) else []

    def belongs(self, installation: str) -> bool:
        return ours(self.tags, installation)

    def with_facts(self, **facts: object) -> "Card":
        return replace(self, facts={**self.facts, **facts})


def new_card(
    kind: str, name: str, tags: dict[str, str], installation: str, token: str, facts: dict[str, object]
) -> Card:
    return Card(kind, name, marked(tags, installation, token), facts)


def object_id(installation: str, kind: str, token: str) -> str:
    """The UUID of what is made for this token: the same each time, so that defining twice makes one."""
    return str(uuid.uuid5(_ROOT, f"{installation}\n{kind}\n{token}"))


def is_id(text: str) -> bool:
    """Whether this can be one of our ids: a UUID as libvirt writes it."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def owner_mark(installation: str) -> str:
    """Eight letters that stand for the installation in the names of what takes no metadata: volumes, filters."""
    return hashlib.sha256(installation.encode()).hexdigest()[:8]


def part_name(installation: str, item_id: str) -> str:
    """How the names of a VM's or group's parts begin."""
    return f"{PREFIX}-{owner_mark(installation)}-{item_id}"


def card_name(kind: str, item_id: str) -> str:
    """Name of the domain that is only a card."""
    return f"{PREFIX}-{kind}-{item_id}"


def kind_of_name(name: str) -> str:
    """Kind of card by its domain's name; VM for all others."""
    first, _, rest = name.partition("-")
    kind, _, item_id = rest.partition("-")
    return kind if first == PREFIX and kind in (KEY, GROUP, ENDED) and is_id(item_id) else VM


def domain_name(name: str, item_id: str) -> str:
    """Name of a VM's domain: readable, and of this VM alone."""
    return f"{_UNSAFE.sub('-', name)[:40].strip('-.') or 'vm'}-{item_id[:13]}"


def foreign(name: str, item_id: str) -> bool:
    """Whether a domain of this name is none of ours, with a card or without."""
    return item_id[:13] not in name


def element(card: Card) -> ET.Element:
    """The card as libvirt keeps it: JSON inside an element of our namespace."""
    node = ET.Element(f"{{{NAMESPACE}}}card")
    body = {"kind": card.kind, "name": card.name, "tags": card.tags, "facts": card.facts}
    node.text = json.dumps(body, separators=(",", ":"), sort_keys=True)
    return node


def text(card: Card) -> str:
    """The element as libvirt wants it when it adds the namespace itself."""
    node = ET.Element("card")
    node.text = element(card).text
    return ET.tostring(node, encoding="unicode")


def parse(xml: str) -> Card | None:
    """The card in what ``element`` wrote; None if somebody else wrote there."""
    try:
        body = json.loads(ET.fromstring(xml).text or "")  # noqa: S314 - libvirt wrote it
        tags = {str(name): str(value) for name, value in body["tags"].items()}
        return Card(str(body["kind"]), str(body["name"]), tags, dict(body["facts"]))
    except (ET.ParseError, ValueError, KeyError, TypeError, AttributeError):
        return None


def card_in(definition: str) -> Card | None:
    """The card in the whole definition of a domain or network."""
    try:
        node = ET.fromstring(definition).find(f"metadata/{{{NAMESPACE}}}card")  # noqa: S314 - libvirt wrote it
    except ET.ParseError:
        return None
    return parse(ET.tostring(node, encoding="unicode")) if node is not None else None
