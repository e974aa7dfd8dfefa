"""The driver rules on AWS's driver, against moto with what it lacks before it. In: servers on loopback. Out: tests."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from mcisd.drivers.aws import vms
from mcisd.drivers.aws.driver import AwsConnection, AwsDriver
from mcisd.drivers.wire import heard
from mcisd.model.cloud import ConnectionSpec, FirewallRule, SecurityGroupRequest
from mcisd.model.errors import (
    CloudAuthError,
    CloudConflictError,
    CloudError,
    CloudInvalidError,
    CloudTransientError,
    CloudUnsupportedError,
)
from tests.clouds.aws import DEBIAN_12, REGION, AwsCloud, aws_cloud, moto_server, self_signed
from tests.clouds.aws_front import DISABLED, EXTERNAL_ID, GOOD_KEY, GOOD_SECRET, ROLE
from tests.clouds.aws_troubles import rule
from tests.clouds.aws_words import call_of, refusal, text, tree
from tests.clouds.proxy import Rule, Seen
from tests.conformance.driver_bench import SSH, DriverBench, Trouble, fresh
from tests.conformance.driver_suite import DriverSuite

DRIVER = AwsDriver()


@dataclass(kw_only=True)
class AwsBench(DriverBench):
    cloud: AwsCloud

    async def settle(self) -> None:
        await asyncio.sleep(0.02)

    @asynccontextmanager
    async def trouble(self, kind: Trouble, times: int = 1) -> AsyncIterator[None]:
        async with self.cloud.proxy.rule(rule(kind, times)):
            yield

    async def remove_by_hand(self, vm_id: str) -> None:
        await self.cloud.front.moto("TerminateInstances", REGION, **{"InstanceId.1": vm_id})

    async def first_boot(self, vm_id: str) -> str:
        asked = {"InstanceId": vm_id, "Attribute": "userData"}
        reply = await self.cloud.front.moto("DescribeInstanceAttribute", REGION, **asked)
        return base64.b64decode(text(tree(reply), "userData", "value")).decode()

    def unreachable(self, how: str) -> ConnectionSpec:
        endpoint = self.cloud.secure if how == "tls" else "http://ec2.no-such-host.invalid"
        return replace(self.spec, region_info={**self.spec.region_info, "endpoint": endpoint})


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto_server(tmp_path_factory.mktemp("moto")) as url:
        yield url


class TestAwsDriver(DriverSuite):
    column: ClassVar[str] = "aws"
    behind: ClassVar[str] = (
        "an emulator, moto's server, with a layer of our own before it for what moto lacks (client tokens, time, "
        "refusals, prices, EC2's quotas); never AWS itself"
    )
    lacks: ClassVar[dict[str, str]] = {"Crash": "no cloud for money offers to break a VM"}

    @pytest.fixture
    async def bench(self, moto: str, request: pytest.FixtureRequest) -> AsyncIterator[DriverBench]:
        """Only VMs that were made for it can hibernate."""
        hibernation = "on" if request.node.name == "test_hibernate" else "off"
        async with aws_cloud(moto) as cloud:
            bench = AwsBench(
                DRIVER, cloud.spec(hibernation=hibernation), {"secret_access_key": "wrong/secret/key"}, DEBIAN_12,
                "t3.micro", cloud=cloud,
            )  # fmt: skip
            yield bench
            await bench.clean()


class Aws:
    """Beyond the rules for all: what only AWS has."""

    @pytest.fixture
    async def cloud(self, moto: str) -> AsyncIterator[AwsCloud]:
        async with aws_cloud(moto) as cloud:
            yield cloud


async def said(spec: ConnectionSpec) -> CloudError:
    """What the check of a connection complains of."""
    connection = await DRIVER.connect(spec, "inst")
    try:
        with pytest.raises(CloudError) as caught:
            await connection.check()
    finally:
        await connection.close()
    return caught.value


async def checked(spec: ConnectionSpec) -> list[str]:
    """What a check sends that finds nothing wrong."""
    sent: list[str] = []
    connection = await DRIVER.connect(spec, "inst")
    with heard(sent.append):
        await connection.check()
        await connection.check()
    await connection.close()
    return sent


def _runs(seen: Seen) -> bool:
    return call_of(seen).operation == "RunInstances"


class TestAwsCredentials(Aws):
    async def test_profile(self, cloud: AwsCloud, tmp_path: Path) -> None:
        config, keys = tmp_path / "config", tmp_path / "credentials"
        config.write_text("[profile work]\nregion = eu-central-1\n")
        keys.write_text(f"[work]\naws_access_key_id = {GOOD_KEY}\naws_secret_access_key = {GOOD_SECRET}\n")
        files = {"config_file": str(config), "credentials_file": str(keys)}
        spec = replace(cloud.spec(), credential={"profile": "work", **files})
        assert "CreateVpc" in await checked(spec)
        wrong = await said(replace(spec, credential={"profile": "play", **files}))
        assert (type(wrong), wrong.field) == (CloudAuthError, "profile")

    async def test_role(self, cloud: AwsCloud) -> None:
        spec = cloud.spec()
        role = {**spec.credential, "role_arn": ROLE, "external_id": EXTERNAL_ID}
        sent = await checked(replace(spec, credential=role))
        assert sent.count("AssumeRole") == 1, "its keys are kept until they expire"
        wrong = await said(replace(spec, credential={**role, "external_id": "another"}))
        assert isinstance(wrong, CloudAuthError)
        assert "sts:AssumeRole" in wrong.message

    async def test_the_machines_own_role(
        self, cloud: AwsCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(tmp_path))
        spec = replace(cloud.spec(metadata_endpoint=cloud.front.url), credential={})
        assert "CreateVpc" in await checked(spec)
        nobody = {**spec.region_info, "metadata_endpoint": "http://127.0.0.1:9"}
        wrong = await said(replace(spec, region_info=nobody))
        assert isinstance(wrong, CloudAuthError)
        assert "no AWS credentials" in wrong.message

    async def test_permission_is_rehearsed(self, cloud: AwsCloud) -> None:
        async with cloud.proxy.rule(rule(Trouble.NO_PERMISSION, 1)):
            wrong = await said(cloud.spec())
        assert isinstance(wrong, CloudAuthError)
        assert "ec2:CreateVpc" in wrong.message

    async def test_region_that_is_not_enabled(self, cloud: AwsCloud) -> None:
        wrong = await said(cloud.spec(DISABLED))
        assert (type(wrong), wrong.field) == (CloudAuthError, "region")
        assert "not enabled" in wrong.message

    async def test_an_endpoint_that_is_no_address(self, cloud: AwsCloud) -> None:
        wrong = await said(cloud.spec(endpoint_sts="far away"))
        assert (type(wrong), wrong.field) == (CloudInvalidError, "endpoint")

    async def test_a_certificate_of_ones_own(self, cloud: AwsCloud, tmp_path: Path) -> None:
        """With it the connection comes about; the server behind it hangs up on everybody."""
        path = tmp_path / "ca.pem"
        path.write_bytes(self_signed()[0])
        spec = cloud.spec(endpoint_sts=cloud.secure)
        assert "certificate" in (await said(spec)).message
        wrong = await said(replace(spec, region_info={**spec.region_info, "ca_file": str(path)}))
        assert isinstance(wrong, CloudTransientError)


class TestAwsObjects(Aws):
    @pytest.fixture
    async def bench(self, cloud: AwsCloud) -> AsyncIterator[AwsBench]:
        bench = AwsBench(AwsDriver(), cloud.spec(), {}, DEBIAN_12, "t3.micro", cloud=cloud)
        yield bench
        await bench.clean()

    async def opened(self, bench: AwsBench) -> AwsConnection:
        connection = await bench.open()
        assert isinstance(connection, AwsConnection)
        return connection

    async def test_prices_and_types_come_in_pages(self, bench: AwsBench) -> None:
        connection, sent = await self.opened(bench), list[str]()
        one = await connection.get_spec("t3.micro")
        with heard(sent.append):
            specs = {spec.id: spec for spec in await connection.list_specs()}
            await connection.list_specs()
            assert await connection.get_spec("t3.micro") == one == specs["t3.micro"]
        assert sent.count("DescribeInstanceTypes") == -(-(len(specs) + 1) // 20) > 1
        assert sent.count("GetProducts") == 3
        assert (one.price, one.price_date, one.vcpus, one.memory_mib) == (0.013, "2026-11-02", 2, 1024)
        assert (specs["g4dn.xlarge"].gpus, specs["m6g.large"].architecture) == (1, "arm64")
        assert specs["g4dn.xlarge"].network_gbps == 25.0
        assert specs["t3.nano"].price is None
        assert not any(name.startswith("mac") for name in specs)

    async def test_specs_without_a_price_list(self, bench: AwsBench) -> None:
        deny = Rule(
            lambda seen: call_of(seen).service == "pricing",
            lambda seen: refusal(call_of(seen), "AccessDeniedException", "No."),
        )
        connection = await self.opened(bench)
        async with bench.cloud.proxy.rule(deny):
            assert (await connection.get_spec("t3.micro")).price is None
        assert deny.hits == 1

    async def test_status_comes_in_pages(self, bench: AwsBench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vms, "PAGE", 5)
        connection, sent = await self.opened(bench), list[str]()
        request = bench.vm_request(await bench.furnish(connection))
        made = await asyncio.gather(*(connection.start_vm(replace(request, token=fresh("tok"))) for _ in range(12)))
        with heard(sent.append):
            rows = await connection.list_vm_status()
        assert {row.id for row in rows} == {vm.id for vm in made}
        assert sent == ["DescribeInstances"] * 3

    async def test_what_was_just_made_may_be_unknown_yet(self, bench: AwsBench) -> None:
        connection = await self.opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        unseen = f"The security group '{request.security_group_ids[0]}' does not exist"
        late = Rule(_runs, lambda seen: refusal(call_of(seen), "InvalidGroup.NotFound", unseen), times=1)
        async with bench.cloud.proxy.rule(late):
            with pytest.raises(CloudTransientError):
                await connection.start_vm(request)
            assert (await connection.start_vm(request)).token == request.token

    async def test_a_token_whose_vm_is_not_shown(self, bench: AwsBench) -> None:
        connection = await self.opened(bench)
        request = bench.vm_request(await bench.furnish(connection))
        made = await connection.start_vm(request)
        other = replace(request, name="another name, which AWS takes for another request")
        assert (await connection.start_vm(other)).id == made.id
        async with bench.trouble(Trouble.LATE_LISTS):
            with pytest.raises(CloudTransientError):
                await connection.start_vm(other)

    async def test_hibernation_must_be_meant_from_the_start(self, bench: AwsBench) -> None:
        connection = await self.opened(bench)
        vm = await bench.running(connection)
        with pytest.raises(CloudUnsupportedError) as caught:
            await connection.hibernate_vm(vm.id)
        assert "hibernation" in (caught.value.remedy or "")

    async def test_networks_stand_in_the_connections_zone(self, bench: AwsBench) -> None:
        bench.spec = replace(bench.spec, zone=f"{REGION}c")
        assert (await bench.running(await self.opened(bench))).zone == f"{REGION}c"

    async def test_a_network_is_mended_by_its_token(self, bench: AwsBench) -> None:
        connection = await self.opened(bench)
        made = await bench.network(connection, "mend")
        owned = {item.kind: item for item in await connection.list_owned()}
        await connection.remove_owned(owned["gateway"])
        await connection.remove_owned(owned["subnet"])
        again = await bench.network(connection, "mend")
        assert (again.id, len(again.subnet_ids)) == (made.id, 1)
        assert again.subnet_ids != made.subnet_ids
        assert {item.kind for item in await connection.list_owned()} == {"network", "subnet", "gateway"}

    async def test_outbound_rules_replace_the_open_door(self, bench: AwsBench) -> None:
        connection = await self.opened(bench)
        network, web = await bench.network(connection), FirewallRule("outbound", "tcp", 443, 443, "0.0.0.0/0")
        rules = (SSH, web, FirewallRule("outbound", "udp", 53, 53, "10.0.0.0/8"))
        request = SecurityGroupRequest(fresh("tok"), "sg", network.id, rules)
        made = [await connection.create_security_group(request) for _ in range(2)]
        assert made[0] == made[1]
        assert set((await connection.list_security_groups())[0].rules) == set(rules)

    async def test_a_deletion_that_is_refused_harms_nothing(self, bench: AwsBench) -> None:
        connection = await self.opened(bench)
        vm = await bench.running(connection)
        before = sorted(item.id for item in await connection.list_owned())
        with pytest.raises(CloudConflictError):
            await connection.delete_network(vm.network_id)
        assert sorted(item.id for item in await connection.list_owned()) == before
