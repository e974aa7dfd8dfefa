"""The real engines on this machine, for tests, benchmarks and the demonstration. In: folders. Out: running servers.

Kafka and InfluxDB come from the cache that ``make engines`` fills, PostgreSQL from the system. Each engine has ports
and a folder of its own, survives being stopped or killed and started again on the same port and data, and ends with us.
"""

from mcisd.demo.engines_influx import InfluxEngine, missing_influx
from mcisd.demo.engines_kafka import KafkaEngine, missing_kafka
from mcisd.demo.engines_postgres import PostgresEngine, missing_postgres
from mcisd.demo.engines_process import EngineError, cache_folder

__all__ = ["EngineError", "InfluxEngine", "KafkaEngine", "PostgresEngine", "cache_folder", "missing_engines"]


def missing_engines() -> list[str]:
    """One line for each engine that this machine cannot start; empty if all can."""
    return [lack for lack in (missing_kafka(), missing_influx(), missing_postgres()) if lack]
