"""The 18 VMs of the demonstration as plain data that moves by itself: what the development server shows.

Out: JSON-ready dictionaries in the shape of the API's answers. Deterministic but for the clock.
"""

import math
import time
from typing import Any

Json = dict[str, Any]

# provider, region, latitude, longitude, place, number of VMs
REGIONS = (
    ("aws", "us-east-1", 38.95, -77.45, "N. Virginia", 2),
    ("aws", "us-west-1", 37.35, -121.96, "N. California", 2),
    ("aws", "ap-northeast-2", 37.56, 126.98, "Seoul", 2),
    ("azure", "koreacentral", 37.57, 126.98, "Seoul", 2),
    ("azure", "northcentralus", 41.88, -87.62, "Illinois", 2),
    ("azure", "canadaeast", 46.82, -71.22, "Quebec", 2),
    ("gcp", "asia-east1", 24.05, 120.52, "Taiwan", 2),
    ("gcp", "asia-east2", 22.32, 114.17, "Hong Kong", 2),
    ("gcp", "europe-west3", 50.11, 8.68, "Frankfurt", 1),
    ("alibaba", "ap-northeast-1", 35.68, 139.76, "Tokyo", 1),
)
NS, INFRA = "demo", "world"
HISTORY_S = 3600


def vm(number: int, region: tuple[str, str, float, float, str, int], name: str, now: float) -> Json:
    """One VM as VmInfoBody."""
    provider, region_name, latitude, longitude, place, _ = region
    return {
        "id": f"vm-{number:04d}", "name": name, "infraSvc": INFRA, "nameSpace": NS, "state": "Running",
        "goal": "Running", "pending": None, "error": "", "errorCode": "", "connConfigName": f"{provider}-{region_name}",
        "providerName": provider, "region": region_name, "zone": f"{region_name}a",
        "location": {"latitude": latitude, "longitude": longitude, "display": place}, "cloudId": f"i-{number:08x}",
        "publicAddress": f"127.80.{number % 250}.{10 + number // 250}", "privateAddress": f"10.0.{number % 250}.4",
        "sshPort": 22022, "guestUser": "mcis", "vcpus": 2, "memoryMib": 4096, "price": 0.0416 + 0.004 * (number % 5),
        "image": "ubuntu-22.04", "spec": "t3.medium", "network": "auto", "securityGroup": "auto", "sshKey": "auto",
        "labels": {}, "agent": "up", "agentError": "", "lastSampleAt": now, "startedAt": now - 600,
        "createdAt": now - 610,
    }  # fmt: skip


def fleet(copies: int = 1) -> list[Json]:
    """All VMs; with ``copies`` each region has that many times its number."""
    now = time.time()
    vms: list[Json] = []
    for region in REGIONS:
        short = region[1].replace("northcentralus", "illinois")
        vms += [vm(len(vms) + 1 + i, region, f"{short}-{i + 1}", now) for i in range(region[5] * copies)]
    return vms


def counts(vms: list[Json]) -> dict[str, int]:
    """State → number of VMs."""
    found: dict[str, int] = {}
    for one in vms:
        found[one["state"]] = found.get(one["state"], 0) + 1
    return found


def status(vms: list[Json]) -> str:
    """The aggregate text, e.g. ``Partial-Suspended:2 (R:1/3)``."""
    if not vms:
        return ""
    found = counts(vms)
    state = max(found, key=lambda name: found[name])
    prefix = "" if len(found) == 1 else "Partial-"
    return f"{prefix}{state}:{found[state]} (R:{found.get('Running', 0)}/{len(vms)})"


def infra(vms: list[Json]) -> Json:
    """InfraSvcInfo."""
    return {
        "id": "mcis-1", "name": INFRA, "nameSpace": NS, "description": "18 VMs, 4 clouds, 10 regions", "labels": {},
        "onFailure": "keep", "status": status(vms), "counts": counts(vms), "vms": vms,
        "pricePerHour": sum(one["price"] for one in vms), "createdAt": vms[0]["createdAt"] if vms else 0.0,
    }  # fmt: skip


def wave(seed: int, at: float, slow: float) -> float:
    """A smooth number from 0 to 1."""
    return 0.5 + 0.35 * math.sin(at / (slow * 4) + seed) + 0.1 * math.sin(at / slow + seed * 2.7)


def measure(number: int, column: str, at: float, loaded: bool) -> float:
    """One value of one VM; ``number`` is its place in the fleet."""
    cpu = 4 + 22 * wave(number, at, 180) + (66 if loaded else 0)
    return {
        "cpu.usage_active": min(99.5, cpu),
        "mem.used_percent": 30 + 2 * (number % 9) + 6 * wave(number, at, 900),
        "system.load1": cpu / 55,
        "net.bytes_recv_rate": 9e3 + 90e3 * wave(number + 3, at, 120),
        "net.bytes_sent_rate": 6e3 + 60e3 * wave(number + 5, at, 150),
        "diskio.read_bytes_rate": 2e3 * wave(number + 7, at, 60),
        "diskio.write_bytes_rate": 5e3 + 70e3 * wave(number + 9, at, 45),
        "disk.used_percent": 31.0 + number,
    }[column]


def series(
    vms: list[Json], measurement: str, fields: list[str], start: float, end: float, step: float, hot: str
) -> Json:
    """MonitoringInfo with one series per VM and field."""
    rows, first = [], math.ceil(start / step) * step
    times = [first + i * step for i in range(int((end - first) // step))]
    for number, one in enumerate(vms):
        for name in fields:
            values = [
                measure(number, f"{measurement}.{name}", at, one["name"] == hot and at > end - 240) for at in times
            ]
            rows.append({"vm": one["name"], "measurement": measurement, "field": name, "tags": {}, "kind": "g",
                         "times": times, "values": values})  # fmt: skip
    return {"statistic": "avg", "stepS": step, "start": start, "end": end, "series": rows}


def alarms(hot: str, now: float) -> list[Json]:
    """One firing, one pending, one resolved."""
    base = {"infraSvc": INFRA, "nameSpace": NS, "threshold": 80.0, "firedAt": None, "resolvedAt": None}
    return [
        {**base, "rule": "cpu-high", "subject": hot, "severity": "critical", "phase": "firing", "since": now - 95,
         "value": 93.4, "firedAt": now - 90, "episode": "e1"},
        {**base, "rule": "mem-high", "subject": "asia-east1-2", "severity": "warning", "phase": "pending",
         "since": now - 8, "value": 81.2, "episode": ""},
        {**base, "rule": "cpu-high", "subject": "us-east-1-1", "severity": "critical", "phase": "ok",
         "since": now - 400, "value": 12.0, "firedAt": now - 700, "resolvedAt": now - 400, "episode": "e0"},
    ]  # fmt: skip


def thresholds() -> Json:
    """ThresholdsInfo with the system defaults."""
    base: Json = {"tags": {}, "level": "vm", "vm": "", "comparison": ">", "recovery": None, "aggregation": "last",
            "windowS": 0.0, "noDataS": 0.0, "labels": {}, "channels": ["ops"], "enabled": True}  # fmt: skip
    return {"thresholds": [
        {**base, "name": "cpu-high", "metric": "cpu.usage_active", "threshold": 80.0, "recovery": 70.0, "forS": 4.0,
         "severity": "critical"},
        {**base, "name": "mem-high", "metric": "mem.used_percent", "threshold": 80.0, "forS": 10.0,
         "severity": "warning"},
        {**base, "name": "silent", "metric": "nodata", "noDataS": 20.0, "threshold": 0.0, "forS": 0.0,
         "severity": "warning"},
    ]}  # fmt: skip
