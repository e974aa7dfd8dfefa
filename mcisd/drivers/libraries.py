"""A cloud's own library, imported when its first connection is opened. In: module and extra. Out: the module."""

import asyncio
import importlib
from types import ModuleType

from mcisd.model.errors import CloudUnsupportedError


async def library(module: str, extra: str) -> ModuleType:
    """Import ``module`` in a thread, as such libraries take a second; CloudUnsupportedError says how to install it."""
    try:
        return await asyncio.to_thread(importlib.import_module, module)
    except ModuleNotFoundError as error:
        raise CloudUnsupportedError(
            f"the {extra} driver needs the Python package {error.name or module}, which is not installed",
            remedy=f"install it with: pip install 'mcisd[{extra}]', then try again",
        ) from error
