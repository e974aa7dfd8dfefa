"""From settings to the bus and the stores they name. The only place that knows which adapters there are; an engine that
is not used is never imported."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mcisd.aio.clock import Clock
from mcisd.bus.base import Bus
from mcisd.bus.topics import ALL, HOUR, METRICS
from mcisd.daemon.settings import BusSettings, Settings
from mcisd.model.errors import ConfigError
from mcisd.store.base import MetadataStore
from mcisd.store.series.base import SeriesStore

if TYPE_CHECKING:
    from mcisd.bus.kafka import KafkaOptions

DAY = 86_400.0


async def open_bus(settings: Settings, clock: Clock) -> Bus:
    """The bus, its topics made or checked. BusError, ConfigError."""
    if settings.alone:
        from mcisd.bus.memory import MemoryBus

        return MemoryBus()
    from mcisd.bus.kafka import KafkaBus

    metrics = replace(METRICS, retention_s=settings.bus.metrics_hours * HOUR)
    topics = [metrics if topic is METRICS else topic for topic in ALL]
    return await KafkaBus.open(kafka_options(settings.bus, settings.node.name), clock, topics)


async def open_metadata(settings: Settings, clock: Clock, *, auto_upgrade: bool = True) -> MetadataStore:
    """The metadata store at this program's revision. StoreError, ConfigError."""
    from mcisd.store.metadata.sql import open_store

    password = secret(settings.store.metadata_password_file, "store.metadata_password_file")
    return await open_store(settings.metadata_url, clock, password=password, auto_upgrade=auto_upgrade)


async def open_series(settings: Settings, clock: Clock) -> SeriesStore:
    """The time-series store, with its buckets. StoreError, ConfigError."""
    if not settings.store.series_url:
        from mcisd.store.series.duck import DuckSeriesStore

        return await DuckSeriesStore.open(settings.series_path)
    from mcisd.store.series.influx.options import InfluxOptions
    from mcisd.store.series.influx.store import InfluxSeriesStore

    store = settings.store
    options = InfluxOptions(
        url=store.series_url,
        org=store.series_org,
        bucket=store.series_bucket,
        token=secret(store.series_token_file, "store.series_token_file"),
        retention_s=int(settings.collector.retention_days * DAY),
    )
    return await InfluxSeriesStore.open(options, clock)


def kafka_options(settings: BusSettings, client: str) -> "KafkaOptions":
    """How the brokers are reached; ``client`` is what they call us."""
    from mcisd.bus.kafka import KafkaOptions

    return KafkaOptions(
        servers=settings.url.removeprefix("kafka://"),
        prefix=settings.prefix,
        replication=settings.replication,
        security=settings.security,
        sasl_mechanism=settings.sasl_mechanism,
        username=settings.username,
        password=secret(settings.password_file, "bus.password_file"),
        ca_file=settings.ca_file,
        cert_file=settings.cert_file,
        key_file=settings.key_file,
        client_id=f"mcisd-{client}",
    )


def secret(path: Path | None, name: str) -> str:
    """The one line of a secret file; empty if none is named. ConfigError if it cannot be read or others may read it."""
    if path is None:
        return ""
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} may be read by others", field=name, remedy=f"chmod 600 {path}")
        return path.read_text().strip()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", field=name, remedy="check the path") from None
