"""The near end of ``agents``: start the process of agents, tell it what to do, hear what came of it."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SILENCE_S = 600.0


class Load:
    """Made by ``agents``. Each command returns what the agents tell of it, or ends the benchmark with their words."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.pid = process.pid
        self._process = process
        self._log = log

    async def tell(self, *words: object) -> dict[str, float]:
        """Give a command and wait until it is done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write((" ".join(str(word) for word in words) + "\n").encode())
        async with asyncio.timeout(SILENCE_S):
            line = await self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the agents have ended: {self._log.read_text()[-1500:]}")
        answer: dict[str, float] = json.loads(line)
        return answer

    async def end(self) -> None:
        """End it; kill it if it will not."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(10.0):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def agents(
    servers: Sequence[tuple[str, int]], ca: Path, vms: Sequence[tuple[str, str]], interval_ms: int = 2_000
) -> AsyncIterator[Load]:
    """A process with an agent for each ``(vm, token)``, not linked yet."""
    with tempfile.TemporaryDirectory(prefix="mcisd-agents-") as folder:
        plan, log = Path(folder) / "plan.json", Path(folder) / "log"
        plan.touch(mode=0o600)
        body = {"servers": list(servers), "ca": str(ca), "vms": list(vms), "interval_ms": interval_ms}
        plan.write_text(json.dumps(body))
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "benchmarks.kit.agents", str(plan), cwd=ROOT,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=file,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        load = Load(process, log)
        try:
            yield load
        finally:
            await load.end()
