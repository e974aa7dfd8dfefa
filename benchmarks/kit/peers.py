"""VictoriaMetrics and InfluxDB as benchmarks use them: servers of their own, the same samples in their protocols."""

import gzip
import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import aiohttp

from benchmarks.kit import payload
from mcisd.demo.engines import InfluxEngine
from mcisd.demo.engines_process import ServerProcess
from mcisd.demo.ports import free_ports

CALL = aiohttp.ClientTimeout(total=120.0)
LINES = 5_000
"""Lines in a request; InfluxDB's documentation names 5,000 as the best."""


class Victoria:
    """One VictoriaMetrics with fresh data in ``folder``."""

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        folder.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{port}"
        command = ["victoria-metrics", f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={folder / 'data'}"]
        self._process = ServerProcess("VictoriaMetrics", [*command, "-retentionPeriod=10y"], folder / "victoria.log")

    async def start(self) -> None:
        await self._process.start(lambda: answers(f"{self.url}/health"), 30.0)

    async def stop(self) -> None:
        await self._process.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def flush(self) -> None:
        """All that it was given is on disk and can be queried."""
        await get(f"{self.url}/internal/force_flush")

    async def series(self) -> int:
        """How many series it has."""
        return int(await _json_number(f"{self.url}/api/v1/series/count"))


async def influx_count(engine: InfluxEngine) -> int:
    """How many samples InfluxDB has."""
    query = f'from(bucket:"{engine.bucket}")|>range(start:0)|>count()|>group()|>sum()'
    headers = {"Authorization": f"Token {engine.token}", "Content-Type": "application/vnd.flux"}
    url = f"{engine.url}/api/v2/query?org={engine.org}"
    async with (
        aiohttp.ClientSession(timeout=CALL, headers=headers) as session,
        session.post(url, data=query) as answer,
    ):
        answer.raise_for_status()
        rows = [line.split(",") for line in (await answer.text()).splitlines() if line]
    return int(rows[1][rows[0].index("_value")]) if len(rows) > 1 else 0


async def answers(url: str) -> bool:
    """Whether GET gives 200 now."""
    try:
        await get(url)
    except aiohttp.ClientError:
        return False
    return True


async def get(url: str) -> bytes:
    async with aiohttp.ClientSession(timeout=CALL) as session, session.get(url) as answer:
        answer.raise_for_status()
        return await answer.read()


async def _json_number(url: str) -> float:
    async with aiohttp.ClientSession(timeout=CALL) as session, session.get(url) as answer:
        answer.raise_for_status()
        body = await answer.json()
        return float(body["data"][0] if isinstance(body["data"], list) else body["data"])


async def post_all(url: str, bodies: Iterable[bytes], headers: dict[str, str] | None = None) -> None:
    """Post one after the other over one connection; SystemExit with the server's words if it refuses one."""
    async with aiohttp.ClientSession(timeout=CALL, headers=headers or {}) as session:
        for body in bodies:
            async with session.post(url, data=body) as answer:
                if answer.status >= 300:
                    raise SystemExit(f"{url}: {answer.status} {(await answer.text())[:300]}")


def line_requests(vms: int, ticks: int, start_ms: int) -> Iterator[bytes]:
    """Line protocol, ``LINES`` a request."""
    lines = payload.lines(vms, ticks, start_ms)
    while chunk := list(islice(lines, LINES)):
        yield "\n".join(chunk).encode()


def zipped(bodies: Iterable[bytes]) -> Iterator[bytes]:
    """The same, compressed as clients do it by default (level 1 costs the server no less to unpack than 9)."""
    return (gzip.compress(body, 1) for body in bodies)


# --- Prometheus remote write: protocol buffers in a snappy frame


def remote_requests(vms: int, ticks: int, start_ms: int, per_request: int = 100) -> Iterator[bytes]:
    """Remote write, one sample of each series of up to ``per_request`` VMs a request. The snappy frame holds the data
    as they are, which is the least work for who unpacks it."""
    labels = [[_labels(vm, column) for column in payload.COLUMNS] for vm in range(vms)]
    for tick in range(ticks):
        stamp = b"\x10" + _varint(start_ms + tick * payload.INTERVAL_MS)
        for first in range(0, vms, per_request):
            parts = []
            for vm in range(first, min(first + per_request, vms)):
                for label, value in zip(labels[vm], payload.values(vm, tick).tolist(), strict=True):
                    sample = b"\x09" + struct.pack("<d", value) + stamp
                    parts.append(_field(1, label + _field(2, sample)))
            yield _snappy(b"".join(parts))


def _labels(vm: int, column: list[object]) -> bytes:
    tags = column[2]
    assert isinstance(tags, dict)
    named = {"__name__": f"{column[0]}_{column[1]}", "host": f"n{vm}", "infra": "bench", "ns": "bench", **tags}
    pairs = (_field(1, key.encode()) + _field(2, str(value).encode()) for key, value in sorted(named.items()))
    return b"".join(_field(1, pair) for pair in pairs)


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _snappy(data: bytes) -> bytes:
    parts = [_varint(len(data))]
    for first in range(0, len(data), 65_536):
        chunk = data[first : first + 65_536]
        parts += [b"\xf4", struct.pack("<H", len(chunk) - 1), chunk]
    return b"".join(parts)
