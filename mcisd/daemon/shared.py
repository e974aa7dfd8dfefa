"""What all processes of an installation share by way of the store: who may open secrets, the CA of the agents' links,
the API token. In: the store, the vault, this process's home. Out: files in the home that are the same everywhere.

The secret key itself never goes through the store: it is what the others are sealed with.
"""

import json
from collections.abc import Callable
from pathlib import Path

from mcisd.collectors.tls import LinkCertificates
from mcisd.daemon.vault import Vault
from mcisd.model.errors import ConfigError, ConflictError
from mcisd.model.records import Setting
from mcisd.store.base import MetadataStore

KEY_CHECK, LINK_CA, API_TOKEN = "key-check", "link-ca", "api-token"


async def check_key(store: MetadataStore, vault: Vault, installation: str) -> None:
    """ConfigError if this process has another secret key than the installation."""
    sealed = await _shared(store, KEY_CHECK, lambda: vault.seal(installation, KEY_CHECK))
    try:
        vault.open(sealed, KEY_CHECK)
    except ConfigError:
        raise ConfigError(
            "the secret key of this process is not that of the installation",
            field="store.secret_key_file",
            remedy="copy the file secret.key of another process of the installation here",
        ) from None


async def share_ca(store: MetadataStore, vault: Vault, folder: Path, certificates: LinkCertificates) -> None:
    """The CA of the installation lies in ``folder``, and ``certificates`` has a certificate signed by it."""
    pem, key = folder / "ca.pem", folder / "ca.key"

    def ours() -> str:
        certificates.ensure()
        return vault.seal(json.dumps({"pem": pem.read_text(), "key": key.read_text()}), LINK_CA)

    kept = json.loads(vault.open(await _shared(store, LINK_CA, ours), LINK_CA))
    _adopt(folder, kept)
    certificates.ensure()


def _adopt(folder: Path, ca: dict[str, str]) -> None:
    """Have this CA in the folder; a server certificate of another one goes."""
    pem = folder / "ca.pem"
    if pem.exists() and pem.read_text() == ca["pem"]:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "server.pem").unlink(missing_ok=True)
    _write(folder / "ca.key", ca["key"])
    _write(pem, ca["pem"])


async def share_token(store: MetadataStore, vault: Vault, path: Path, mine: str) -> str:
    """The API token of the installation: ``mine`` if it is the first process to say one. Also written to ``path``."""
    token = vault.open(await _shared(store, API_TOKEN, lambda: vault.seal(mine, API_TOKEN)), API_TOKEN)
    if token != mine:
        _write(path, token + "\n")
    return token


async def _shared(store: MetadataStore, name: str, make: Callable[[], str]) -> str:
    async with store.reading() as tx:
        row = await tx.get(Setting, name)
    if row is not None:
        return row.value["sealed"]
    try:
        async with store.transaction() as tx:
            row = await tx.get(Setting, name) or await tx.insert(Setting(uid=name, value={"sealed": make()}))
    except ConflictError:
        async with store.reading() as tx:
            row = await tx.get(Setting, name)
        if row is None:
            raise
    return row.value["sealed"]


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and never readable by others."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_text(text)
    part.replace(path)
