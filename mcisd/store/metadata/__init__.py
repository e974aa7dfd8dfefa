"""Metadata in SQL: records and events in, records and events out. Public: ``open_store`` and ``SqlStore``."""

from mcisd.store.metadata.kinds import KINDS
from mcisd.store.metadata.sql import SqlStore, open_store

__all__ = ["KINDS", "SqlStore", "open_store"]
