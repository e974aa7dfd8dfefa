"""Cloud federation: drivers, credentials, regions, connections, call history."""

from typing import Annotated

from pydantic import Field

from mcisd.daemon.api.schemas.base import Model, Name, ShortText


class KeyValue(Model):
    key: Annotated[str, Field(min_length=1, max_length=128)]
    value: Annotated[str, Field(max_length=65_536)]


class CloudDriverRequest(Model):
    driver_name: Name
    provider_name: Annotated[str, Field(min_length=1, max_length=64)]
    driver_path: Annotated[str, Field(max_length=256, description="module:Class; empty for an installed driver")] = ""


class CloudDriverInfo(Model):
    driver_name: str
    provider_name: str
    driver_path: str = ""
    version: str = ""
    credential_keys: dict[str, bool] = Field(default_factory=dict, description="credential key → required")
    capability: dict[str, bool] = Field(default_factory=dict)
    error: Annotated[str, Field(description="why it cannot be used; empty if it can")] = ""


class CredentialRequest(Model):
    credential_name: Name
    provider_name: Annotated[str, Field(min_length=1, max_length=64)]
    key_value_info_list: Annotated[list[KeyValue], Field(max_length=64)]


class CredentialInfo(Model):
    """The values never come back out; only their names do."""

    credential_name: str
    provider_name: str
    keys: list[str]
    created_at: float


class LocationInfo(Model):
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    display: ShortText = ""


class RegionRequest(Model):
    region_name: Name
    provider_name: Annotated[str, Field(min_length=1, max_length=64)]
    region_info_list: Annotated[list[KeyValue], Field(max_length=64, description='needs the key "Region"')]
    location: LocationInfo | None = None


class RegionInfo(Model):
    region_name: str
    provider_name: str
    region: str
    zone: str = ""
    region_info_list: list[KeyValue]
    location: LocationInfo | None = None


class ConnectionConfigRequest(Model):
    conn_config_name: Name
    driver_name: Name
    credential_name: Name
    region_name: Name


class ConnectionConfigInfo(Model):
    conn_config_name: str
    provider_name: str
    driver_name: str
    credential_name: str
    region_name: str
    region: str = ""
    location: LocationInfo | None = None
    checked_at: float | None = None
    check_error: str = ""


class CheckResult(Model):
    """``error`` is one sentence, ``code`` names it for programs, ``field`` and ``remedy`` say how to mend it."""

    conn_config_name: str
    ok: bool
    elapsed_ms: float
    error: str = ""
    code: str = ""
    field: str = ""
    remedy: str = ""
    capability: dict[str, bool] = Field(default_factory=dict)


class CallHistoryRow(Model):
    time: float
    connection: str
    provider: str
    region: str
    resource: str
    api: str
    elapsed_ms: float
    attempt: int
    requests: Annotated[int, Field(description="sent over the wire for it, as far as its driver tells")] = 0
    error_code: str = ""
    error: str = ""
