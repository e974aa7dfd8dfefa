"""Prometheus and Alertmanager as quick as they can be: an exporter of ours with one value, one rule, one webhook.

Scrape and evaluation every ``period`` seconds, no waiting in Alertmanager (group_wait 0 s, group_interval 1 s).
"""

import time
from pathlib import Path

from aiohttp import web

from benchmarks.kit.peers import answers
from mcisd.demo.engines_process import ServerProcess
from mcisd.demo.ports import free_ports

PROMETHEUS = """
global: {{scrape_interval: {period:g}s, scrape_timeout: 1s, evaluation_interval: {period:g}s}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}
scrape_configs: [{{job_name: host, static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]}}]
"""
RULES = "groups: [{name: bench, rules: [{alert: TooHigh, expr: 'system_load1 > 200'}]}]\n"
ALERTMANAGER = """
route: {{receiver: hook, group_wait: 0s, group_interval: 1s, repeat_interval: 1h, group_by: ['...']}}
receivers: [{{name: hook, webhook_configs: [{{url: '{hook}', send_resolved: true}}]}}]
"""


class Exporter:
    """Serves one value, and remembers when a changed one was first fetched."""

    def __init__(self) -> None:
        self.port = 0
        self.fetched_at = 0.0
        self._value = 1.0
        self._runner: web.AppRunner | None = None

    def change(self, value: float) -> None:
        self._value, self.fetched_at = value, 0.0

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/metrics", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = int(self._runner.addresses[0][1])

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, _: web.Request) -> web.Response:
        self.fetched_at = self.fetched_at or time.time()
        return web.Response(text=f"system_load1 {self._value}\n")


class Pair:
    """The two servers, with their data in ``folder``."""

    def __init__(self, folder: Path, exporter: int, hook: str, period: float) -> None:
        prometheus, alertmanager = free_ports(2)
        self._urls = [f"http://127.0.0.1:{port}/-/ready" for port in (alertmanager, prometheus)]
        (folder / "rules.yml").write_text(RULES)
        (folder / "prometheus.yml").write_text(
            PROMETHEUS.format(period=period, alertmanager=alertmanager, exporter=exporter)
        )
        (folder / "alertmanager.yml").write_text(ALERTMANAGER.format(hook=hook))
        address = f"--web.listen-address=127.0.0.1:{prometheus}"
        self._servers = [
            ServerProcess(
                "Alertmanager",
                ["prometheus-alertmanager", f"--config.file={folder / 'alertmanager.yml'}", "--cluster.listen-address=",
                 f"--storage.path={folder / 'am'}", f"--web.listen-address=127.0.0.1:{alertmanager}"],
                folder / "alertmanager.log",
            ),
            ServerProcess(
                "Prometheus",
                ["prometheus", f"--config.file={folder}/prometheus.yml", address, f"--storage.tsdb.path={folder}/p"],
                folder / "prometheus.log",
            ),
        ]  # fmt: skip

    async def start(self) -> None:
        for server, url in zip(self._servers, self._urls, strict=True):
            await server.start(lambda url=url: answers(url), 30.0)  # type: ignore[misc]  # a default binds it now

    async def stop(self) -> None:
        for server in self._servers:
            await server.stop()
