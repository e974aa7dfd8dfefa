"""Azure's names, settings, permissions and request bodies. In: values. Out: other values; no network."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mcisd.drivers.azure import names
from mcisd.drivers.azure.access import LINKED, PERMISSIONS, operation, permission
from mcisd.drivers.azure.images import version_key
from mcisd.drivers.azure.prices import hourly_prices
from mcisd.drivers.azure.requests import admin_name, host_name, image_reference, vm_properties, zones_of
from mcisd.drivers.azure.resources import fingerprint
from mcisd.drivers.azure.settings import settings_of
from mcisd.model.cloud import ConnectionSpec, VmRequest
from mcisd.model.errors import CloudAuthError, CloudInvalidError, CloudNotFoundError
from tests.conformance.driver_bench import make_key

ROOT = Path(__file__).resolve().parents[3]
UUID = "11111111-2222-3333-4444-555555555555"
PRINCIPAL = {
    "subscription_id": UUID,
    "tenant_id": "t.onmicrosoft.com",
    "client_id": UUID,
    "client_secret": "s3cret-s3cret",
}
MANAGE = f"https://management.azure.com/subscriptions/{UUID}"


def spec(credential: dict[str, str], region: str = "koreacentral", **info: str) -> ConnectionSpec:
    return ConnectionSpec("c", region, None, credential, info)


def test_names_come_from_tokens() -> None:
    name = names.name_of("vm", "token")
    assert name == names.name_of("vm", "token") != names.name_of("vm", "token2")
    assert names.is_name("vm", name)
    assert not names.is_name("nic", name)
    assert names.is_name("nic", names.sibling(name, "nic"))
    assert names.kind_of("../vm-" + "0" * 24) is None
    with pytest.raises(CloudNotFoundError):
        names.known("vm", "nothing", "vm_id")


def test_one_resource_group_for_installation_and_region() -> None:
    assert names.resource_group("inst-1", "koreacentral") == "mcisd-inst-1-koreacentral"
    odd = names.resource_group("Ünfit/../" + "x" * 200, "koreacentral")
    assert re.fullmatch(r"mcisd-[0-9a-f]{24}-koreacentral", odd)
    assert len(odd) <= 90


def test_a_subnet_belongs_to_its_network() -> None:
    assert names.subnet_of("net-a", names.subnet_id("net-a", 2)) == "subnet-2"
    for wrong in ("net-b/subnet-0", "net-a/../x", "subnet-0", ""):
        with pytest.raises(CloudInvalidError):
            names.subnet_of("net-a", wrong)


@pytest.mark.parametrize(
    ("method", "path", "name", "action"),
    [
        ("PUT", "/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v", "PUT virtualMachines/{name}",
         "Microsoft.Compute/virtualMachines/write"),
        ("POST", "/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v/deallocate?x=1",
         "POST virtualMachines/{name}/deallocate", "Microsoft.Compute/virtualMachines/deallocate/action"),
        ("GET", "/providers/Microsoft.Compute/virtualMachines?statusOnly=true", "GET virtualMachines",
         "Microsoft.Compute/virtualMachines/read"),
        ("GET", "/locations?a=b", "GET locations", "Microsoft.Resources/subscriptions/locations/read"),
        ("PUT", "/resourcegroups/g", "PUT resourceGroups/{name}",
         "Microsoft.Resources/subscriptions/resourceGroups/write"),
        ("DELETE", "/resourceGroups/g/providers/Microsoft.Network/networkInterfaces/n",
         "DELETE networkInterfaces/{name}", "Microsoft.Network/networkInterfaces/delete"),
    ],
)  # fmt: skip
def test_what_a_request_is_called(method: str, path: str, name: str, action: str) -> None:
    assert operation(method, MANAGE + path) == name
    assert permission(method, MANAGE + path) == action
    assert action in PERMISSIONS


def test_requests_to_others_need_no_permission() -> None:
    login = f"https://login.microsoftonline.com/{UUID}/oauth2/v2.0/token"
    assert (operation("POST", login), permission("POST", login)) == ("POST oauth2/v2.0/token", None)
    assert operation("GET", "https://s.blob.core.windows.net/c/serial.log?sig=secret") == "GET serial.log"
    assert operation("GET", "https://prices.azure.com/api/retail/prices?$filter=x") == "GET prices"


def test_the_page_has_the_role() -> None:
    text = (ROOT / "docs" / "clouds" / "azure.md").read_text()
    (role,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert json.loads(role)["Actions"] == sorted(PERMISSIONS | LINKED)


def test_the_driver_loads_without_the_library() -> None:
    loaded = "[m for m in sys.modules if m.partition('.')[0] in ('azure', 'msal')]"
    code = f"import sys, mcisd.drivers.azure.driver\nprint({loaded})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_service_principal() -> None:
    settings = settings_of(spec(PRINCIPAL))
    assert (settings.subscription, settings.client_secret) == (UUID, "s3cret-s3cret")
    assert settings.scope == "https://management.azure.com/.default"
    assert settings.prices
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    "document",
    [
        {"appId": UUID, "displayName": "mcisd", "password": "p", "tenant": "t"},
        {"clientId": UUID, "clientSecret": "p", "tenantId": "t", "subscriptionId": UUID},
    ],
)
def test_what_az_prints(document: dict[str, str]) -> None:
    settings = settings_of(spec({"json": json.dumps(document), "subscription_id": UUID}))
    assert (settings.tenant, settings.client_id, settings.client_secret) == ("t", UUID, "p")


def test_a_managed_identity() -> None:
    settings = settings_of(spec({"subscription_id": UUID, "managed_identity": "True"}))
    assert settings.client_secret == ""


@pytest.mark.parametrize(
    ("credential", "field"),
    [
        ({}, "subscription_id"),
        ({"subscription_id": UUID}, "tenant_id"),
        ({**PRINCIPAL, "client_id": "me"}, "client_id"),
        ({"json": "[]"}, "json"),
        ({"json": "{"}, "json"),
    ],
)
def test_incomplete_credentials(credential: dict[str, str], field: str) -> None:
    with pytest.raises(CloudAuthError) as caught:
        settings_of(spec(credential))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("info", "field"),
    [
        ({"endpoint": "http://here"}, "endpoint"),
        ({"authority": "https://"}, "authority"),
        ({"polling_interval": "often"}, "polling_interval"),
        ({"polling_interval": "0"}, "polling_interval"),
    ],
)
def test_wrong_region_info(info: dict[str, str], field: str) -> None:
    with pytest.raises(CloudInvalidError) as caught:
        settings_of(spec(PRINCIPAL, **info))
    assert caught.value.field == field


def test_regions_are_short_names() -> None:
    with pytest.raises(CloudInvalidError):
        settings_of(spec(PRINCIPAL, "Korea Central"))
    assert settings_of(spec(PRINCIPAL, endpoint="https://arm.local")).prices == ""


def test_a_vm_holds_its_secrets_in_first_boot_data_alone() -> None:
    key = make_key()
    request = VmRequest(
        "t", "web 1", "img", "Standard_B1s", "net-x", "net-x/subnet-0", (), "key-x", "root",
        key.export_private_key().decode(), key.export_public_key().decode().strip(),
    )  # fmt: skip
    facts = vm_properties(
        request, names.name_of("vm", "t"), "/nic", {"id": "/i"}, disk_type="Premium_LRS", hibernation=False
    )
    profile = facts["osProfile"]
    data = base64.b64decode(profile.pop("customData")).decode()
    assert request.host_key.splitlines()[1] in data
    assert request.host_key.splitlines()[1] not in json.dumps(facts)
    assert (profile["adminUsername"], profile["computerName"]) == ("azureuser", "web-1")
    assert facts["storageProfile"]["osDisk"]["deleteOption"] == "Delete"
    assert facts["networkProfile"]["networkInterfaces"][0]["properties"]["deleteOption"] == "Delete"
    assert "additionalCapabilities" not in facts


def test_users_and_host_names() -> None:
    assert (admin_name("root"), admin_name("Admin"), admin_name("ops")) == ("azureuser", "azureuser", "ops")
    assert (host_name("a_b.c"), host_name("---"), len(host_name("x" * 99))) == ("a-b-c", "vm", 63)


def test_images_and_zones() -> None:
    assert image_reference("Debian:debian-12:12-gen2:0.1")["offer"] == "debian-12"
    own = f"/subscriptions/{UUID}/resourceGroups/g/providers/Microsoft.Compute/images/mine"
    assert image_reference(own) == {"id": own}
    for wrong in ("nothing", "a:b:c", "a:b:c:d:e", "a:b/../c:d:e", own + "/../../x"):
        with pytest.raises(CloudInvalidError):
            image_reference(wrong)
    assert (zones_of("2"), zones_of(None)) == ({"zones": ["2"]}, {})
    with pytest.raises(CloudInvalidError):
        zones_of("koreacentral-a")
    assert max(["24.04.9", "24.04.202511130", "24.04.202510010"], key=version_key) == "24.04.202511130"


def test_prices_of_linux_by_the_hour() -> None:
    row = {
        "armSkuName": "S",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
        "skuName": "S",
        "meterName": "S",
        "productName": "P",
    }
    rows = [
        {**row, "retailPrice": 0.3},
        {**row, "retailPrice": 0.2},
        {**row, "retailPrice": 0.01, "skuName": "S Spot"},
        {**row, "retailPrice": 0.02, "meterName": "S Low Priority"},
        {**row, "retailPrice": 0.1, "productName": "P Windows"},
        {**row, "retailPrice": 0.1, "unitOfMeasure": "1 GB"},
        {**row, "retailPrice": 0.1, "type": "Reservation"},
        {**row, "retailPrice": 0.0},
        {**row, "retailPrice": 1.0, "armSkuName": ""},
    ]
    assert hourly_prices(rows) == {"S": 0.2}


def test_fingerprints_are_those_of_ssh_keygen() -> None:
    key = make_key()
    assert fingerprint(key.export_public_key().decode()) == key.get_fingerprint()
    for wrong in ("", "ssh-ed25519", "ssh-ed25519 AAAA", "not a key"):
        with pytest.raises(CloudInvalidError):
            fingerprint(wrong)
