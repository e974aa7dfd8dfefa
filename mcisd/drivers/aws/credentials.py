"""The forms an AWS credential comes in. In: a connection's key-values. Out: a session of the library that signs so.

Untyped edge: sessions are the library's own objects.
"""

import asyncio
import os
import stat
from pathlib import Path
from types import ModuleType
from typing import Any

from mcisd.drivers.libraries import library
from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import CloudAuthError

FIELDS: dict[str, bool] = {
    "access_key_id": False,
    "secret_access_key": False,
    "session_token": False,
    "profile": False,
    "config_file": False,
    "credentials_file": False,
    "role_arn": False,
    "external_id": False,
}


def checked(credential: dict[str, str]) -> dict[str, str]:
    """The filled fields; CloudAuthError with the remedy where they do not go together."""
    given = {name: value.strip() for name, value in credential.items() if value.strip()}
    if ("access_key_id" in given) != ("secret_access_key" in given):
        missing = "secret_access_key" if "access_key_id" in given else "access_key_id"
        raise CloudAuthError(
            f"{missing} is missing", field=missing, remedy="give access_key_id and secret_access_key, or neither"
        )
    for name, base in (("session_token", "access_key_id"), ("external_id", "role_arn")):
        if name in given and base not in given:
            raise CloudAuthError(f"{name} is given without {base}", field=name, remedy=f"add {base}, or drop {name}")
    if "profile" in given and "access_key_id" in given:
        raise CloudAuthError(
            "both an access key and a profile are given", field="profile", remedy="give one of the two"
        )
    for name, value in given.items():
        if not value.isprintable() or not value.isascii():
            raise CloudAuthError(
                f"{name} holds a character that no AWS credential has", field=name, remedy="copy it anew"
            )
    return given


def judge_file(field: str, name: str) -> None:
    """CloudAuthError unless only the daemon's user (or root) can have written the file: it may name programs to run."""
    path = Path(name)
    remedy = "name a file by its whole path that belongs to the daemon's user or root and that nobody else may write"
    try:
        found = path.stat()
    except OSError as error:
        raise CloudAuthError(f"{field} cannot be read ({type(error).__name__})", field=field, remedy=remedy) from None
    owned = found.st_uid in (0, os.getuid()) and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not (path.is_absolute() and stat.S_ISREG(found.st_mode) and owned):
        raise CloudAuthError(f"{field} is not a file that can be trusted", field=field, remedy=remedy)


async def session(spec: ConnectionSpec) -> Any:
    """A session with the key or profile given, or what the library finds (environment, files, machine's role)."""
    given = checked(spec.credential)
    sessions: ModuleType = await library("aiobotocore.session", "aws")
    made = sessions.AioSession(profile=given.get("profile"))
    for name in ("config_file", "credentials_file"):
        if name in given:
            await asyncio.to_thread(judge_file, name, given[name])
            made.set_config_variable(name, given[name])
    if "metadata_endpoint" in spec.region_info:
        made.set_config_variable("ec2_metadata_service_endpoint", spec.region_info["metadata_endpoint"])
    if "access_key_id" in given:
        made.set_credentials(given["access_key_id"], given["secret_access_key"], given.get("session_token"))
    return made


async def assume(made: Any, spec: ConnectionSpec, options: dict[str, Any]) -> None:
    """From now on the session signs as the credential's role, whose keys renew themselves; nothing if it names none.

    ``options`` are those of a client of the token service.
    """
    given = checked(spec.credential)
    if "role_arn" not in given:
        return
    parts: ModuleType = await library("aiobotocore.credentials", "aws")
    errors: ModuleType = await library("botocore.exceptions", "aws")
    source = await made.get_credentials()
    if source is None:
        raise errors.NoCredentialsError

    def client(service: str, **keys: Any) -> Any:
        return made.create_client(service, **options, **keys)

    extra = {"RoleSessionName": "mcisd"} | ({"ExternalId": given["external_id"]} if "external_id" in given else {})
    fetcher = parts.AioAssumeRoleCredentialFetcher(client, source, given["role_arn"], extra_args=extra)
    made._credentials = parts.AioDeferredRefreshableCredentials(
        method="assume-role", refresh_using=fetcher.fetch_credentials
    )
