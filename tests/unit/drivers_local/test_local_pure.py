"""The local driver's pure parts: documents, errors, settings, catalogue, addresses."""

from dataclasses import asdict
from pathlib import Path

import pytest

from mcisd.drivers.base import capabilities
from mcisd.drivers.local import addresses, catalogue, errors, settings, translate
from mcisd.drivers.local.driver import LocalConnection
from mcisd.model.cloud import (
    CloudVmState,
    ConnectionSpec,
    FirewallRule,
    NetworkInfo,
    SecurityGroupInfo,
    SecurityGroupRequest,
    VmInfo,
    VmStatus,
)
from mcisd.model.errors import (
    CloudAuthError,
    CloudConflictError,
    CloudError,
    CloudInvalidError,
    CloudNotFoundError,
    CloudQuotaError,
    CloudTransientError,
    CloudUnsupportedError,
)

KINDS = [
    CloudAuthError,
    CloudConflictError,
    CloudInvalidError,
    CloudNotFoundError,
    CloudQuotaError,
    CloudTransientError,
    CloudUnsupportedError,
]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_survive_the_wire(kind: type[CloudError]) -> None:
    sent = kind("it went wrong", field="name", remedy="mend it")
    got = errors.from_document(errors.status_of(sent), errors.to_document(sent))
    assert (type(got), got.message, got.field, got.remedy) == (kind, "it went wrong", "name", "mend it")


@pytest.mark.parametrize(("status", "kind"), [(500, CloudTransientError), (418, CloudInvalidError)])
@pytest.mark.parametrize("body", [None, [], {}, {"code": "news", "message": 7, "field": 1}, "text"])
def test_odd_answers_become_errors_of_the_tree(status: int, kind: type[CloudError], body: object) -> None:
    assert type(errors.from_document(status, body)) is kind


def test_infos_survive_the_wire() -> None:
    rule = FirewallRule("inbound", "tcp", 22, 22, "0.0.0.0/0")
    network = NetworkInfo("net-1", "n", "10.0.0.0/16", ("s-1", "s-2"), {"a": "b"})
    group = SecurityGroupInfo("sg-1", "g", "net-1", (rule,), {})
    vm = VmInfo("i-1", "vm", "t", CloudVmState.FAILED, "us-east-1", started_at=1.5, reason="lost")
    assert translate.network_info(asdict(network) | {"subnet_ids": ["s-1", "s-2"]}) == network
    assert translate.security_group_info(asdict(group) | {"rules": [asdict(rule)]}) == group
    assert translate.vm_info(asdict(vm) | {"state": "failed"}) == vm
    assert translate.vm_status(asdict(vm)) == VmStatus("i-1", "t", CloudVmState.FAILED, "lost")


def test_requests_are_marked_as_ours() -> None:
    request = SecurityGroupRequest("t", "g", "net-1", (), {"mcisd-installation": "forged", "x": "y"})
    assert translate.request_document(request, "me")["tags"] == {"mcisd-installation": "me", "x": "y"}


def test_ten_regions_of_four_providers() -> None:
    by_provider: dict[str, int] = {}
    for place in catalogue.PLACES.values():
        by_provider[place.stands_for] = by_provider.get(place.stands_for, 0) + 1
        assert place.region.zones == ("a", "b")
    assert by_provider == {"aws": 3, "azure": 3, "gcp": 3, "alibaba": 1}
    assert len({place.octet for place in catalogue.PLACES.values()}) == 10
    assert catalogue.place("asia-east2").region.location.display == "Hong Kong"


def test_catalogue_refuses_what_it_lacks() -> None:
    assert catalogue.zone("us-east-1", None) == "a"
    with pytest.raises(CloudInvalidError):
        catalogue.zone("us-east-1", "c")
    with pytest.raises(CloudInvalidError):
        catalogue.place("mars")
    with pytest.raises(CloudNotFoundError):
        catalogue.image("windows")
    with pytest.raises(CloudNotFoundError):
        catalogue.spec("huge")


def test_every_capability_but_one_is_claimed() -> None:
    assert [name for name, there in capabilities(LocalConnection).items() if not there] == ["Hibernate"]


def test_home_comes_from_the_nearest_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def spec(credential: dict[str, str], region: dict[str, str]) -> ConnectionSpec:
        return ConnectionSpec("c", "us-east-1", None, credential, region)

    monkeypatch.setenv(settings.HOME_VARIABLE, "/from/env")
    assert settings.home_of(spec({"home": "/from/cred"}, {"home": "/from/region"})) == Path("/from/cred")
    assert settings.home_of(spec({}, {"home": "/from/region"})) == Path("/from/region")
    assert settings.home_of(spec({}, {})) == Path("/from/env")
    monkeypatch.delenv(settings.HOME_VARIABLE)
    assert settings.home_of(spec({}, {})) == Path.home() / ".local/share/mcisd/local-cloud"
    with pytest.raises(CloudInvalidError):
        settings.checked_home(Path("/" + "x" * 120))


def test_scaled_settings_keep_the_quota() -> None:
    fast = settings.CloudSettings().scaled(0.5)
    assert (fast.change_delay, fast.vm_quota) == (0.1, 250)


def test_addresses_are_of_the_region_and_not_reused_at_once() -> None:
    pool = addresses.Addresses(Path("/somewhere"))
    first = next(pool.candidates("us-west-1", set()))
    second = next(pool.candidates("us-west-1", set()))
    assert first.startswith("127.81.")
    assert first != second
    third = next(addresses.Addresses(Path("/somewhere")).candidates("us-west-1", {first, second}))
    assert third not in {first, second}


def test_addresses_stay_in_the_area_and_end() -> None:
    homes = [addresses.Addresses(Path(f"/home/{number}")) for number in range(2000)]
    pool = homes[0]
    seen = [next(home.candidates("ap-northeast-1", set())) for home in homes]
    assert len({address.rpartition(".")[0] for address in seen}) == 256
    seen += [address for _ in range(400) for address in pool.candidates("ap-northeast-1", set())]
    assert len(set(seen)) == 256 * 254
    for address in seen:
        first, second, third, last = (int(part) for part in address.split("."))
        assert (first, second) == (127, 89)
        assert 0 <= third <= 255
        assert 1 <= last <= 254
