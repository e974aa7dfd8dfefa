"""What an installation says about its InfluxDB; and the names of the buckets that follow from it."""

from dataclasses import dataclass, field

from mcisd.model.errors import ConfigError

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class InfluxOptions:
    """``retention_s`` of the bucket with the windows as they come, ``retention_1m_s`` and ``retention_1h_s`` of the two
    that keep them by the minute and by the hour, never less than the windows; 0 keeps for ever. ``keep_downsampled``
    False: no such buckets.

    One request holds at most ``batch_lines`` lines and about ``batch_values`` numbers, and ``in_flight`` of them are
    under way at once. ``write_timeout_s`` bounds one write call, ``query_timeout_s`` one question. A question about
    many VMs is put as several, since what InfluxDB does for each series grows with the number of VMs named.
    """

    url: str
    org: str
    bucket: str
    token: str = field(repr=False)
    retention_s: int = 14 * DAY_S
    retention_1m_s: int = 90 * DAY_S
    retention_1h_s: int = 730 * DAY_S
    keep_downsampled: bool = True
    connect_timeout_s: float = 5.0
    write_timeout_s: float = 30.0
    query_timeout_s: float = 60.0
    batch_lines: int = 5_000
    batch_values: int = 20_000
    in_flight: int = 4
    vms_per_query: int = 20
    answer_bytes: int = 64 << 20
    last_span_s: float = DAY_S

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            remedy = "give the address of InfluxDB, such as http://influx:8086"
            raise ConfigError("the address of InfluxDB is not a URL", field="store.series_url", remedy=remedy)
        if not self.token:
            remedy = "name the file that holds InfluxDB's token"
            raise ConfigError("InfluxDB needs a token", field="store.series_token_file", remedy=remedy)

    @property
    def minutes(self) -> str:
        return f"{self.bucket}_1m"

    @property
    def hours(self) -> str:
        return f"{self.bucket}_1h"

    @property
    def buckets(self) -> dict[str, int]:
        """Name → retention in seconds, of all buckets that are ours."""
        if not self.keep_downsampled:
            return {self.bucket: self.retention_s}
        return {
            self.bucket: self.retention_s,
            self.minutes: _longer(self.retention_1m_s, self.retention_s),
            self.hours: _longer(self.retention_1h_s, self.retention_1m_s, self.retention_s),
        }

    @property
    def longest(self) -> str:
        """The bucket that keeps longest."""
        return self.hours if self.keep_downsampled else self.bucket


def _longer(*seconds: int) -> int:
    """The longest retention; 0 is for ever."""
    return 0 if 0 in seconds else max(seconds)
