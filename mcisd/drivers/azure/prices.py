"""The list prices of a region. In: pages of Azure's public price list. Out: USD per hour of each size, with the day.

The list needs no credential and is the same for all, so one copy serves all connections of the process for a day.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from mcisd.drivers.azure.session import Session
from mcisd.model.errors import CloudError, CloudTransientError

Page = tuple[list[dict[str, Any]], bool]
"""Rows, and whether there are more pages."""
log = logging.getLogger(__name__)
DAY = 86400.0
PAGES = 300
AT_ONCE = 8
PATIENCE = 40.0
"""Seconds for all pages; sizes without prices are better than none."""
_CHEAPER = ("spot", "low priority")


@dataclass(frozen=True, slots=True)
class Prices:
    """``hourly``: size → USD per hour for Linux, pay as you go. ``date``: ISO day on which it was read, or ""."""

    hourly: Mapping[str, float] = field(default_factory=dict)
    date: str = ""
    until: float = 0.0


_known: dict[tuple[str, str], Prices] = {}


async def prices_of(session: Session, region: str) -> Prices:
    """The prices of a region; none, with a line in the log, while the list cannot be had: sizes do without."""
    base = session.settings.prices
    kept = _known.get((base, region))
    if not base or (kept is not None and kept.until > time.monotonic()):
        return kept or Prices()
    try:
        async with asyncio.timeout(PATIENCE):
            hourly = hourly_prices(await _items(session, base, region))
    except (CloudError, TimeoutError) as error:
        log.warning("no prices for the Azure region %s: %s", region, error or "no answer in time")
        return kept or Prices()
    made = Prices(hourly, datetime.now(UTC).date().isoformat(), time.monotonic() + DAY)
    _known[base, region] = made
    return made


async def _items(session: Session, base: str, region: str) -> list[dict[str, Any]]:
    """All rows of a region. The first page tells how long pages are; the others come a few at a time."""
    wanted = f"serviceName eq 'Virtual Machines' and priceType eq 'Consumption' and armRegionName eq '{region}'"
    url = f"{base}/api/retail/prices?currencyCode=USD&$filter={quote(wanted)}"
    found, more = await _page(session, url)
    size = len(found)
    for first in range(1, PAGES, AT_ONCE):
        if not more or not size:
            return found
        urls = [f"{url}&$skip={number * size}" for number in range(first, first + AT_ONCE)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_tried(session, page)) for page in urls]
        for task in tasks:
            page = task.result()
            if isinstance(page, CloudError):
                raise page
            found, more = found + page[0], page[1]
    raise CloudTransientError(f"the price list has more than {PAGES} pages")


async def _tried(session: Session, url: str) -> Page | CloudError:
    """A page, or why there is none: raised inside a group of tasks it would come out as a group of errors."""
    try:
        return await _page(session, url)
    except CloudError as error:
        return error


async def _page(session: Session, url: str) -> Page:
    """The rows of one page, and whether there are more."""
    async with session.fetch(url) as answer:
        if answer.status != 200:
            raise CloudTransientError(f"the price list answered with status {answer.status}")
        try:
            page = await answer.json(content_type=None)
        except ValueError:
            page = None
    if not isinstance(page, dict):
        raise CloudTransientError("the price list answered with something else than a list")
    return list(page.get("Items") or []), bool(page.get("NextPageLink"))


def hourly_prices(items: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The lowest full price of each size: Windows, spot and other kinds of charge left out."""
    found: dict[str, float] = {}
    for item in items:
        name, words = str(item.get("armSkuName") or ""), f"{item.get('skuName')} {item.get('meterName')}".lower()
        if not name or item.get("unitOfMeasure") != "1 Hour" or item.get("type", "Consumption") != "Consumption":
            continue
        if "windows" in str(item.get("productName")).lower() or any(word in words for word in _CHEAPER):
            continue
        price = float(item.get("retailPrice") or 0.0)
        if price > 0.0:
            found[name] = min(price, found.get(name, price))
    return found
