"""The marks on what we make at a cloud. In: a request's tags. Out: the tags to write, and what they say when read."""

from collections.abc import Mapping

INSTALLATION = "mcisd-installation"
TOKEN = "mcisd-token"  # noqa: S105 - the name of a tag


def marked(tags: Mapping[str, str], installation: str, token: str) -> dict[str, str]:
    """All tags of a new object: the caller's, our installation, and the idempotency token of its creation."""
    return {**tags, INSTALLATION: installation, TOKEN: token}


def ours(tags: Mapping[str, str], installation: str) -> bool:
    """Whether an object with these tags belongs to this installation."""
    return tags.get(INSTALLATION) == installation


def shown(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags as the core sees them: without the token, which has a field of its own."""
    return {name: value for name, value in tags.items() if name != TOKEN}
