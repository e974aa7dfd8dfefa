"""What the driver refuses before it asks anybody, and what its parts remember. In: credentials. Out: assertions."""

import subprocess
import sys
from pathlib import Path

import pytest

from mcisd.drivers.aws.credentials import checked, judge_file
from mcisd.drivers.aws.driver import AwsDriver
from mcisd.drivers.aws.link import method_of, skew_of
from mcisd.drivers.aws.part import MOST_REMEMBERED, Memory, Young, where
from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import CloudAuthError, CloudInvalidError, CloudNotFoundError, CloudTransientError

KEY = {"access_key_id": "AKIA1", "secret_access_key": "secret"}


@pytest.mark.parametrize(
    ("credential", "field"),
    [
        ({"access_key_id": "AKIA1"}, "secret_access_key"),
        ({"secret_access_key": "s"}, "access_key_id"),
        ({"session_token": "t"}, "session_token"),
        ({"external_id": "x"}, "external_id"),
        ({**KEY, "profile": "work"}, "profile"),
        ({**KEY, "session_token": "line one\nline two"}, "session_token"),
        ({"access_key_id": "AKIA1", "secret_access_key": "geheimß"}, "secret_access_key"),
    ],
)
def test_credentials_that_do_not_go_together(credential: dict[str, str], field: str) -> None:
    with pytest.raises(CloudAuthError) as caught:
        checked(credential)
    assert caught.value.field == field
    assert caught.value.remedy
    assert "geheim" not in caught.value.message


def test_only_files_that_nobody_else_writes_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile may name a program that makes its keys."""
    path = tmp_path / "config"
    path.write_text("[profile work]\ncredential_process = /bin/sh\n")
    path.chmod(0o644)
    judge_file("config_file", str(path))
    monkeypatch.chdir(tmp_path)
    for name in ("config", str(tmp_path), str(tmp_path / "none"), "/dev/null"):
        with pytest.raises(CloudAuthError) as caught:
            judge_file("config_file", name)
        assert (caught.value.field, bool(caught.value.remedy)) == ("config_file", True)
    path.chmod(0o666)
    with pytest.raises(CloudAuthError):
        judge_file("config_file", str(path))


def test_credentials_that_do() -> None:
    assert checked({**KEY, "profile": " ", "session_token": "t\n"}) == {**KEY, "session_token": "t"}
    assert checked({"role_arn": "arn", "external_id": "x"}) == {"role_arn": "arn", "external_id": "x"}
    assert checked({}) == {}


@pytest.mark.parametrize(
    ("region", "info", "field"),
    [
        ("atlantis", {}, "region"),
        ("us-east-1", {"hibernation": "yes"}, "hibernation"),
        ("us-east-1", {"prices": "cheap"}, "prices"),
        ("us-east-1", {"root_gib": "big"}, "root_gib"),
        ("us-east-1", {"root_gib": "0"}, "root_gib"),
    ],
)
async def test_wrong_regions_and_info(region: str, info: dict[str, str], field: str) -> None:
    with pytest.raises(CloudInvalidError) as caught:
        await AwsDriver().connect(ConnectionSpec("c", region, None, KEY, info), "inst")
    assert caught.value.field == field
    assert caught.value.remedy


async def test_a_region_of_ones_own_endpoint_may_have_any_name() -> None:
    info = {"endpoint": "https://ec2.example.org"}
    connection = await AwsDriver().connect(ConnectionSpec("c", "RegionOne", None, KEY, info), "inst")
    await connection.close()


def test_the_library_is_not_imported_with_the_driver() -> None:
    program = "import sys, mcisd.drivers.aws.driver; print([m for m in sys.modules if 'boto' in m])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_memory_is_bounded() -> None:
    memory = Memory()
    for number in range(MOST_REMEMBERED + 10):
        memory[str(number)] = "x"
    assert len(memory) == MOST_REMEMBERED
    assert "0" not in memory


def test_filters_and_names() -> None:
    assert where(vpc_id="vpc-1") == [{"Name": "vpc-id", "Values": ["vpc-1"]}]
    assert [method_of(name) for name in ("DescribeVpcs", "ImportKeyPair")] == ["describe_vpcs", "import_key_pair"]
    assert skew_of("no date") is None
    assert (skew_of("Sat, 21 Nov 2015 20:19:43 GMT") or 0) > 3e7


def test_only_what_is_young_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    young, now = Young(), 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    young.add("sg-1")

    def fail(text: str) -> None:
        with young.forgiven():
            raise CloudNotFoundError(text)

    with pytest.raises(CloudTransientError):
        fail("The security group 'sg-1' does not exist")
    with pytest.raises(CloudNotFoundError):
        fail("The security group 'sg-2' does not exist")
    now += 200.0
    with pytest.raises(CloudNotFoundError):
        fail("The security group 'sg-1' does not exist")
    for number in range(MOST_REMEMBERED + 10):
        young.add(f"vpc-{number}")
    assert len(young._born) == MOST_REMEMBERED
