"""The outline of the world: whole rings between 180 degrees west and east, and the ten regions lie on land."""

import json
from itertools import accumulate, pairwise
from pathlib import Path

import pytest

from tests.integration.console.fake_world import REGIONS
from tools.make_world import cut, pack

FILE = Path(__file__).resolve().parents[3] / "mcisd" / "console" / "data" / "world.json"


def lines(name: str) -> list[list[tuple[float, float]]]:
    """The rings or lines in degrees."""
    world = json.loads(FILE.read_text())
    return [
        [
            (x * world["unit"], y * world["unit"])
            for x, y in zip(accumulate(flat[::2]), accumulate(flat[1::2]), strict=True)
        ]
        for flat in world[name]
    ]


def inside(x: float, y: float, ring: list[tuple[float, float]]) -> bool:
    """Even-odd rule."""
    crossings = 0
    for (x0, y0), (x1, y1) in pairwise([*ring, ring[0]]):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            crossings += 1
    return crossings % 2 == 1


def near_land(longitude: float, latitude: float) -> bool:
    """On land, or within a degree of it: coasts are coarse at this scale."""
    steps = (-1.0, 0.0, 1.0)
    return any(inside(longitude + dx, latitude + dy, ring) for ring in lines("land") for dx in steps for dy in steps)


@pytest.mark.parametrize("kind", ["land", "borders"])
def test_no_line_leaves_the_world_or_leaps_over_it(kind: str) -> None:
    for line in lines(kind):
        assert all(-180.05 <= x <= 180.05 and -60 <= y <= 90 for x, y in line)
        assert all(abs(x1 - x0) < 60 for (x0, _), (x1, _) in pairwise(line))


def test_regions_lie_on_land_and_the_ocean_is_empty() -> None:
    assert all(near_land(longitude, latitude) for _, _, latitude, longitude, _, _ in REGIONS)
    assert not near_land(-140.0, 0.0)


def test_a_ring_over_the_date_line_is_cut_in_two() -> None:
    ring = [(1700, 0), (-1700, 0), (-1700, 100), (1700, 100)]
    east, west = sorted(cut(ring), key=lambda part: -max(x for x, _ in part))
    assert {x for x, _ in east} == {1700, 1800}
    assert {x for x, _ in west} == {-1700, -1800}
    assert pack([(5, 5), (5, 5), (7, 4)]) == [5, 5, 2, -1]
