"""Names, ids and marks as Google allows them. Pure. In: our names, tokens, tags. Out: what is written there, and back.

A name is derived from the token, so a second creation meets the first one. Networks, subnetworks and firewalls have
no labels: their marks are JSON in ``description``. An instance has both labels (to search by) and JSON in its metadata.
"""

import hashlib
import json
import re
import uuid
from dataclasses import dataclass, field

from mcisd.drivers.marks import INSTALLATION, TOKEN, marked, shown
from mcisd.model.errors import CloudInvalidError

REGION = "mcisd-region"
MARKS = "mcisd"
LONGEST_DESCRIPTION = 2048
MOST_LABELS = 60
_REQUESTS = uuid.UUID("5b0c8f0e-6e1c-4b7c-9a55-2f6f3a1f7d10")
_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_KEY = re.compile(r"[a-z][-_a-z0-9]{0,62}")
_LABEL_VALUE = re.compile(r"[-_a-z0-9]{0,63}")


@dataclass(frozen=True, slots=True)
class Marks:
    """What we write on an object: whose it is, from which creation, and what it is called on our side.

    ``region`` because networks, firewall rules and keys belong to no region at Google. ``more`` is what only some kinds
    have, text to text.
    """

    installation: str
    region: str
    token: str
    name: str
    tags: dict[str, str] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)

    def shown(self) -> dict[str, str]:
        """The tags as the core sees them."""
        return shown(marked(self.tags, self.installation, self.token))

    def of(self, installation: str, region: str) -> bool:
        return (self.installation, self.region) == (installation, region)


def dump(marks: Marks) -> str:
    """As one line of JSON."""
    return json.dumps(
        {MARKS: {name: getattr(marks, name) for name in Marks.__slots__}},
        sort_keys=True,
        separators=(",", ":"),
    )


def description(marks: Marks) -> str:
    """As a description; CloudInvalidError if the tags do not fit."""
    text = dump(marks)
    if len(text) > LONGEST_DESCRIPTION:
        raise CloudInvalidError(
            f"name and tags take {len(text)} characters, Google Cloud keeps {LONGEST_DESCRIPTION}",
            field="tags",
            remedy="use fewer or shorter tags",
        )
    return text


def load(text: str) -> Marks | None:
    """What ``dump`` wrote; None if somebody else wrote it."""
    try:
        found = json.loads(text)[MARKS]
        return Marks(**{name: found[name] for name in Marks.__slots__})
    except (ValueError, KeyError, TypeError):
        return None


def digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def resource_name(name: str, installation: str, region: str, token: str) -> str:
    """The name of what this token makes: "web-1-4f0c…", at most 54 characters."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    if not slug[:1].isalpha():
        slug = f"m-{slug}".strip("-")[:40]
    return f"{slug}-{digest(installation, region, token)[:12]}"


def request_id(seed: str, attempt: int) -> str:
    """The UUID by which Google knows a repeated request."""
    return str(uuid.uuid5(_REQUESTS, f"{seed}\n{attempt}"))


def is_name(text: str) -> bool:
    """Whether Google could have something of this name."""
    return _NAME.fullmatch(text) is not None


def label(value: str) -> str:
    """A label's value: the text itself, or its digest where labels do not allow the text."""
    return value if _LABEL_VALUE.fullmatch(value) else f"x-{digest(value)[:40]}"


def labels(marks: Marks) -> dict[str, str]:
    """Labels to search by and to show on a bill; the exact tags are in the metadata."""
    ours = {INSTALLATION: label(marks.installation), REGION: label(marks.region), TOKEN: label(marks.token)}
    fit = {k: v for k, v in marks.tags.items() if _LABEL_KEY.fullmatch(k) and _LABEL_VALUE.fullmatch(v)}
    return {**dict(list(fit.items())[: MOST_LABELS - len(ours)]), **ours}


def label_filter(installation: str, region: str) -> str:
    """Search for labelled objects of ours in a region."""
    return f'(labels.{INSTALLATION} = "{label(installation)}") AND (labels.{REGION} = "{label(region)}")'


def description_filter(installation: str) -> str:
    """Search for objects whose description carries our marks; loose, as quoting a regular expression has its limits."""
    plain = re.sub(r"[^-_A-Za-z0-9]+", ".*", installation)
    return f'description eq \'.*"installation":"{plain}".*\''


def tail(link: str) -> str:
    """The last part of a URL: the name of what it points to."""
    return link.rpartition("/")[2]
