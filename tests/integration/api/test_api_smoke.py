"""The daemon starts, answers, and launches a mock MCIS."""

import pytest

from tests.integration.api.api_kit import Api

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_api_smoke(api: Api, running: str) -> None:
    assert (await api.get(f"{running}/status"))["running"] == 2
