"""The daemon itself with the 18 VMs of the demonstration on the local cloud, for the browser to look at.

In: an empty directory. Out: a sign-in link; one alarm really fires (one VM's memory is above a low threshold).
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.integration.console.fake_world import INFRA, NS, REGIONS

DEADLINE_S = 40.0


class RealConsole:
    """``mcisd run`` as a process of its own; ``close`` terminates the VMs and ends it."""

    def __init__(self, home: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MCISD_", "MCIS_"))}
        self._home = home
        self._log = (home / "daemon.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mcisd", "run", "--home", str(home), "--port", "0", "--collector-port", "0"],
            env=kept | {"MCISD_LOCAL_HOME": str(home / "cloud")}, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.origin = self._find(r"http://[0-9.]+:\d+", self._process.stdout.readline())
        self.link = self._find(r"http://\S+/login\S+", self._process.stdout.readline())

    def _find(self, pattern: str, line: str) -> str:
        found = re.search(pattern, line)
        assert found, f"the daemon said {line!r}; its log: {(self._home / 'daemon.log').read_text()[-2000:]}"
        return found.group()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request with the token the daemon made."""
        headers = {"Authorization": "Bearer " + (self._home / "token").read_text().strip()}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.origin + "/api/v1" + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or b"null")

    def build(self) -> None:
        """Connections, the MCIS, its alarm; returns when all VMs run, report, and the alarm fires."""
        self.call("POST", "/ns", {"name": NS})
        pairs = [{"key": "account", "value": "demo"}, {"key": "secret", "value": "demo"}]
        credential = {"credentialName": "local", "providerName": "local", "keyValueInfoList": pairs}
        self.call("POST", "/credentials", credential)
        groups = [self._connect(*region) for region in REGIONS]
        self.call("POST", f"/ns/{NS}/infra", {"name": INFRA, "vmRequestList": groups})
        rule = {"name": "mem-high", "metric": "mem.used_percent", "vm": f"{groups[0]['name']}-1", "threshold": 0.01,
                "severity": "critical"}  # fmt: skip
        self.call("PUT", f"/ns/{NS}/infra/{INFRA}/alarmThresholds", {"thresholds": [rule]})
        self._wait("18 agents", lambda: self.call("GET", f"/ns/{NS}/infra/{INFRA}/status")["agentsUp"] == 18)
        self._wait("the alarm", lambda: any(one["phase"] == "firing" for one in self.call("GET", "/alarms")))

    def _connect(self, provider: str, region: str, latitude: float, longitude: float, place: str, count: int) -> Any:
        location = {"latitude": latitude, "longitude": longitude, "display": place}
        info = [{"key": "Region", "value": region}]
        self.call("POST", "/regions", {"regionName": region, "providerName": "local", "regionInfoList": info,
                                       "location": location})  # fmt: skip
        name = f"{provider}-{region}"
        self.call("POST", "/connections", {"connConfigName": name, "driverName": "local", "credentialName": "local",
                                           "regionName": region})  # fmt: skip
        return {"name": name, "count": count, "connConfigName": name}

    def _wait(self, what: str, done: Any) -> None:
        end = time.monotonic() + DEADLINE_S
        while not done():
            assert time.monotonic() < end, f"{what} did not come in {DEADLINE_S} s"
            time.sleep(0.3)

    def close(self) -> None:
        """Leave nothing running."""
        try:
            self.call("POST", f"/ns/{NS}/infra/{INFRA}/terminate")
            path = f"/ns/{NS}/infra/{INFRA}/status"
            self._wait("the end", lambda: self.call("GET", path)["counts"].get("Terminated") == 18)
        finally:
            self._process.terminate()
            self._process.communicate(timeout=20)
            os.kill(int((self._home / "cloud" / "cloud.pid").read_text()), signal.SIGTERM)  # it outlives the daemon
            self._log.close()
