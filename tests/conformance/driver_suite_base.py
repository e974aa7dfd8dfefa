"""Rules for the driver itself and for the catalogue. In: a bench. Out: tests."""

import asyncio
import inspect
from dataclasses import replace
from datetime import date
from typing import ClassVar

import pytest

from mcisd.drivers.base import HANDLERS, ImageHandler, QuotaHandler, RegionHandler, SpecHandler, capabilities
from mcisd.drivers.images import ALIASES
from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import CloudAuthError, CloudInvalidError, CloudNotFoundError
from tests.conformance.driver_bench import DriverBench
from tests.matrix import Lacking

NOWHERE = "no-such-thing-0"


def need(connection: object, protocol: type) -> None:
    """End the test where the driver says that its cloud lacks this; the matrix names it."""
    if not isinstance(connection, protocol):
        name = next(name for name, known in HANDLERS.items() if known is protocol)
        raise Lacking(name)


async def attempt(bench: DriverBench, spec: ConnectionSpec) -> None:
    """Connect and check: a cloud may refuse at either."""
    connection = await bench.connect(spec, bench.installation)
    bench.opened.append(connection)
    await connection.check()


class Rules:
    """The fixture that a test class for a driver brings.

    ``column`` names it in the matrix, ``behind`` says what stood behind it; ``lacks`` names what its cloud does not
    have (a capability, or a trouble that cannot befall it) → why. What is missing and not named there is a failure.
    """

    column: ClassVar[str] = ""
    behind: ClassVar[str] = ""
    lacks: ClassVar[dict[str, str]] = {}

    @pytest.fixture
    def bench(self) -> DriverBench:
        raise AssertionError("a test class of a driver overrides the bench fixture")


class BaseRules(Rules):
    async def test_driver_names_itself(self, bench: DriverBench) -> None:
        driver = bench.driver
        assert driver.provider
        assert driver.provider == driver.provider.strip().lower()
        assert driver.version
        required = {name for name, needed in driver.credential_fields.items() if needed}
        assert required <= bench.spec.credential.keys() <= driver.credential_fields.keys()

    async def test_handlers_are_coroutines(self, bench: DriverBench) -> None:
        connection = await bench.open()
        assert capabilities(connection) == capabilities(bench.driver.connection), "told without connecting"
        for name, has in capabilities(connection).items():
            for api in (m for m in vars(HANDLERS[name]) if has and not m.startswith("_")):
                assert inspect.iscoroutinefunction(getattr(connection, api)), api

    async def test_what_it_lacks_is_named(self, bench: DriverBench) -> None:
        has = capabilities(bench.driver.connection)
        assert {name for name, there in has.items() if not there} <= self.lacks.keys(), "say in `lacks` why"
        for name, why in self.lacks.items():
            assert why
            assert not has.get(name), f"{name} is there"

    async def test_check_passes_and_close_twice(self, bench: DriverBench) -> None:
        connection = await bench.connect(bench.spec, bench.installation)
        await connection.check()
        await connection.close()
        await connection.close()

    async def test_bad_credential_is_refused(self, bench: DriverBench) -> None:
        with pytest.raises(CloudAuthError) as caught:
            await attempt(bench, bench.misfit())
        assert caught.value.message
        for secret in bench.bad_credential.values():
            assert len(secret) < 4 or secret not in str(caught.value)

    async def test_unknown_region_is_refused(self, bench: DriverBench) -> None:
        with pytest.raises((CloudInvalidError, CloudAuthError)):
            await attempt(bench, replace(bench.spec, region=NOWHERE))

    async def test_two_connections_do_not_disturb_each_other(self, bench: DriverBench) -> None:
        first, second = await asyncio.gather(bench.open(), bench.open())
        await first.close()
        await second.check()

    async def test_regions_have_a_place_on_earth(self, bench: DriverBench) -> None:
        connection = await bench.open()
        need(connection, RegionHandler)
        assert isinstance(connection, RegionHandler)
        regions = await connection.list_regions()
        names = [region.name for region in regions]
        assert bench.spec.region in names
        assert len(set(names)) == len(names)
        for region in regions:
            assert -90 <= region.location.latitude <= 90
            assert -180 <= region.location.longitude <= 180
            assert (region.location.latitude, region.location.longitude) != (0, 0)

    async def test_images(self, bench: DriverBench) -> None:
        connection = await bench.open()
        need(connection, ImageHandler)
        assert isinstance(connection, ImageHandler)
        images = {image.id: image for image in await connection.list_images()}
        assert bench.image_id in images
        assert await connection.get_image(bench.image_id) == images[bench.image_id]
        assert all(image.name and image.guest_user for image in images.values())
        with pytest.raises(CloudNotFoundError):
            await connection.get_image(NOWHERE)

    async def test_images_by_alias(self, bench: DriverBench) -> None:
        connection = await bench.open()
        need(connection, ImageHandler)
        assert isinstance(connection, ImageHandler)
        named = [image for image in await connection.list_images() if image.alias]
        assert len({(image.alias, image.architecture) for image in named}) == len(named)
        assert named, "no image has an alias"
        for image in named:
            assert image.alias in ALIASES
            assert await connection.get_image(f"{image.alias}:{image.architecture}") == image
            if image.architecture == "x86_64":
                assert await connection.get_image(image.alias) == image
        with pytest.raises(CloudInvalidError):
            await connection.get_image(f"{ALIASES[0]}:abacus")

    async def test_quotas(self, bench: DriverBench) -> None:
        connection = await bench.open()
        need(connection, QuotaHandler)
        assert isinstance(connection, QuotaHandler)
        quotas = {quota.name: quota for quota in await connection.list_quotas()}
        assert quotas.keys() & {"vms", "vcpus"}
        assert all(quota.limit is None or quota.limit >= 0 for quota in quotas.values())
        assert all(quota.used is None or quota.used >= 0 for quota in quotas.values())

    async def test_specs(self, bench: DriverBench) -> None:
        connection = await bench.open()
        need(connection, SpecHandler)
        assert isinstance(connection, SpecHandler)
        listed = await connection.list_specs()
        specs = {spec.id: spec for spec in listed}
        assert len(specs) == len(listed)
        assert await connection.get_spec(bench.spec_id) == specs[bench.spec_id]
        for spec in listed:
            assert spec.vcpus >= 1
            assert spec.memory_mib >= 1
            assert spec.disk_gib >= 0
            assert spec.price is None or (spec.price >= 0 and date.fromisoformat(spec.price_date or ""))
        with pytest.raises(CloudNotFoundError):
            await connection.get_spec(NOWHERE)
