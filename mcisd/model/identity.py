"""Whose frames these are: what a consumer of samples must know of a VM, as it travels on the topic ``identities``.

The collector publishes it when a VM's agent says hello, before the first frame, so whoever reads frames can resolve
their VM without the metadata store, also when that VM is long gone.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Identity:
    """``vm`` is the uid. Nothing here ever changes in the life of a VM, so it may tag its series."""

    vm: str
    host: str
    ns: str
    infra: str
    provider: str = ""
    region: str = ""
    connection: str = ""

    @property
    def tags(self) -> dict[str, str]:
        """The tags of its series, ordered by key, those without a value left out."""
        return {key: value for key, value in sorted(asdict(self).items()) if value}

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Identity":
        """Raises ValueError on what is no identity."""
        match json.loads(text):
            case {"vm": str(), "host": str(), "ns": str(), "infra": str(), **more} as body if all(
                isinstance(value, str) for value in more.values()
            ):
                return cls(**{key: body[key] for key in cls.__slots__ if key in body})
        raise ValueError(f"not an identity: {text!r:.80}")


NOBODY: Mapping[str, Identity] = MappingProxyType({})
"""No identity is known."""
