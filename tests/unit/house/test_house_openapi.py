"""The OpenAPI document: it is valid, names every user function, each once."""

import json
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

FEDERATION = """
RegisterCloudDriver ListCloudDriver GetCloudDriver UnRegisterCloudDriver RegisterCredential ListCredential
GetCredential UnRegisterCredential RegisterRegion ListRegion GetRegion UnRegisterRegion CreateConnectionConfig
ListConnectionConfig GetConnectionConfig DeleteConnectionConfig CheckConnectionConfig ListCallHistory
"""
NAMESPACES = """
CreateNameSpace ListNameSpace GetNameSpace DeleteNameSpace UpdateNameSpace
"""
RESOURCES = """
RegisterImage ListImage GetImage UnRegisterImage DeleteImage CreateNetwork ListNetwork GetNetwork DeleteNetwork
CreateSecurityGroup ListSecurityGroup GetSecurityGroup DeleteSecurityGroup CreateSshKey ListSshKey GetSshKey
DeleteSshKey RegisterSpec ListSpec GetSpec UnRegisterSpec ListCatalogueSpec ListCatalogueImage
"""
INFRA = """
CreateInfraSvc ExpandInfraSvc ListInfraSvc GetInfraSvc DeleteInfraSvc DeleteVm GetInfraSvcStatus GetVmStatus
SuspendInfraSvc ResumeInfraSvc RebootInfraSvc TerminateInfraSvc SuspendVm ResumeVm RebootVm TerminateVm
CommandInfraSvc CommandVm
"""
MONITORING = """
GetInfraSvcMonitoringInfo GetVMMonitoringInfo GetCurrentVMMonitoringInfo GetCurrentInfraSvcMonitoringInfo
SetInfraSvcAlarmThresholdValue GetInfraSvcAlarmThresholdValue ResetInfraSvcAlarmThresholdValue
"""
REQUIRED = f"{FEDERATION} {NAMESPACES} {RESOURCES} {INFRA} {MONITORING}".split()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """What `mcisd openapi` prints: no server, no home directory."""
    command = [sys.executable, "-m", "mcisd", "openapi"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_every_user_function_is_an_operation(document: dict[str, Any]) -> None:
    names = {operation["operationId"] for operation in operations(document)}
    assert [name for name in REQUIRED if name not in names] == []


def test_each_operation_has_one_name(document: dict[str, Any]) -> None:
    counted = Counter(operation["operationId"] for operation in operations(document))
    assert [name for name, times in counted.items() if times > 1] == []


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_every_operation_says_what_it_does_and_how_it_fails(document: dict[str, Any]) -> None:
    for operation in operations(document):
        assert operation["summary"], operation["operationId"]
        assert "401" in operation["responses"], operation["operationId"]
