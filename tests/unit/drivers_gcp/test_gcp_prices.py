"""Prices of machine types from a list of their parts."""

from datetime import date

import pytest

from mcisd.drivers.gcp.prices import PriceList
from tests.clouds.gcp import world


@pytest.fixture
def seoul() -> PriceList:
    prices = PriceList("asia-northeast3", date(2026, 11, 21))
    prices.add(world.skus())
    return prices


@pytest.mark.parametrize(
    ("name", "price"),
    [
        ("e2-standard-2", 2 * 0.028 + 8 * 0.00375),
        ("e2-medium", 1 * 0.028 + 4 * 0.00375),
        ("e2-micro", 0.25 * 0.028 + 1 * 0.00375),
        ("f1-micro", 0.0098),
        ("n1-standard-1", 0.0406 + 3.75 * 0.00544),
        ("g2-standard-4", 4 * 0.032 + 16 * 0.00375 + 0.719),
        ("n2-standard-4", None),
        ("c4-standard-2", None),
    ],
)
def test_price(seoul: PriceList, name: str, price: float | None) -> None:
    item = world.machine_type(name, "asia-northeast3-a", "p")
    assert item is not None
    assert seoul.of(item) == (None if price is None else pytest.approx(price, abs=1e-6))


def test_other_regions_and_kinds_do_not_count(seoul: PriceList) -> None:
    assert seoul.parts["e2", "core"] == 0.028, "not the custom, spot, committed or American one"


def test_a_gpu_that_is_not_listed_makes_the_price_unknown(seoul: PriceList) -> None:
    seoul.gpus.clear()
    item = world.machine_type("g2-standard-4", "asia-northeast3-a", "p")
    assert item is not None
    assert seoul.of(item) is None


@pytest.mark.parametrize(
    ("words", "family"),
    [
        ("N2D AMD Instance Core running in Seoul", "n2d"),
        ("T2A Arm Instance Core running in Seoul", "t2a"),
        ("C4A Arm Instance Core running in Seoul", "c4a"),
        ("Compute optimized Core running in Seoul", "c2"),
        ("Compute optimized Instance Core running in Seoul", "c2"),
        ("Memory-optimized Instance Core running in Seoul", "m1"),
        ("M3 Memory-optimized Instance Core running in Seoul", "m3"),
    ],
)
def test_families(words: str, family: str) -> None:
    prices = PriceList("r", date(2026, 1, 1))
    expression = {"usageUnit": "h", "tieredRates": [{"unitPrice": {"units": "1", "nanos": 500_000_000}}]}
    category = {"resourceFamily": "Compute", "usageType": "OnDemand"}
    sku = {
        "description": words,
        "category": category,
        "serviceRegions": ["r"],
        "pricingInfo": [{"pricingExpression": expression}],
    }
    prices.add([sku])
    assert prices.parts == {(family, "core"): 1.5}
