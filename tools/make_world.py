"""Turn the world-atlas topology into the compact outline the console draws.

In: `countries-110m.json` of the npm package world-atlas 2.0.2 (Natural Earth 1:110m, public domain; TopoJSON).
Out: JSON with rings of the land and lines of the inner borders, each a flat list of integers in tenths of a degree:
first longitude and latitude, then differences. Antarctica is left out: no cloud has a region there.

Use: python tools/make_world.py countries-110m.json mcisd/console/data/world.json
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

Point = tuple[int, int]
SOURCE = "Natural Earth 1:110m (public domain), by way of world-atlas 2.0.2 (npm, ISC)"


def decode(topology: dict[str, Any]) -> list[list[Point]]:
    """The arcs as tenths of a degree (longitude, latitude)."""
    (scale_x, scale_y), (move_x, move_y) = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for arc in topology["arcs"]:
        x = y = 0
        points: list[Point] = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            points.append((round((x * scale_x + move_x) * 10), round((y * scale_y + move_y) * 10)))
        arcs.append(points)
    return arcs


def rings(geometry: dict[str, Any]) -> Iterator[list[int]]:
    """Every ring of a geometry as its list of arc numbers."""
    polygons = [geometry["arcs"]] if geometry["type"] == "Polygon" else geometry.get("arcs", [])
    for polygon in polygons:
        yield from polygon
    for part in geometry.get("geometries", []):
        yield from rings(part)


def join(ring: list[int], arcs: list[list[Point]]) -> list[Point]:
    """One closed line out of the arcs of a ring; a negative number means the arc backwards."""
    line: list[Point] = []
    for number in ring:
        arc = arcs[number] if number >= 0 else arcs[~number][::-1]
        line.extend(arc if not line else arc[1:])
    return line


def unroll(line: list[Point]) -> list[Point]:
    """The line without its jump at the date line: longitudes go on beyond 180 degrees."""
    turn, unrolled = 0, [line[0]]
    for (x0, _), (x1, y1) in pairwise(line):
        turn += 3600 * ((x1 - x0 < -1800) - (x1 - x0 > 1800))
        unrolled.append((x1 + turn, y1))
    return unrolled


def clip(ring: list[Point], side: int) -> list[Point]:
    """The part of a ring with ``side`` × longitude at most 180 degrees (Sutherland and Hodgman)."""
    kept: list[Point] = []
    for (x0, y0), (x1, y1) in pairwise([*ring, ring[0]]):
        if (side * x0 <= 1800) != (side * x1 <= 1800):
            edge = side * 1800
            kept.append((edge, round(y0 + (y1 - y0) * (edge - x0) / (x1 - x0))))
        if side * x1 <= 1800:
            kept.append((x1, y1))
    return kept


def cut(ring: list[Point]) -> Iterator[list[Point]]:
    """A ring as the one or two rings that lie between 180 degrees west and east."""
    whole = unroll(ring)
    for shift in (-3600, 0, 3600):
        moved = clip([(x + shift, y) for x, y in whole], 1)
        part = clip(moved, -1) if moved else []
        if len(part) > 2:
            yield part


def pack(line: list[Point]) -> list[int]:
    """Differences, with points that fall together dropped."""
    flat = [*line[0]]
    for (x0, y0), (x1, y1) in pairwise(line):
        if (x0, y0) != (x1, y1):
            flat += [x1 - x0, y1 - y0]
    return flat


def convert(topology: dict[str, Any]) -> dict[str, Any]:
    """The whole file of the console from a topology with the objects land and countries."""
    arcs = decode(topology)
    outlines = [part for ring in rings(topology["objects"]["land"]) for part in cut(join(ring, arcs))]
    land = [pack(ring) for ring in outlines if max(y for _, y in ring) > -600]
    uses = Counter(n if n >= 0 else ~n for ring in rings(topology["objects"]["countries"]) for n in ring)
    borders = [pack(arcs[number]) for number, times in sorted(uses.items()) if times > 1]
    return {"source": SOURCE, "unit": 0.1, "land": land, "borders": borders}


def main() -> None:
    """Read the topology named first, write the outline named second."""
    source, target = (Path(name) for name in sys.argv[1:3])
    target.write_text(json.dumps(convert(json.loads(source.read_text())), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
