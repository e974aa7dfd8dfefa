"""One frozen tree of settings: defaults < TOML file < environment < flags.

In the file a setting is ``key`` in ``[section]``; in the environment ``MCISD_SECTION_KEY``, such as
``MCISD_API_PORT=9000``; ``MCISD_HOME`` is the directory of all state.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mcisd.model.errors import ConfigError

Port = Annotated[int, Field(ge=0, le=65_535)]
Seconds = Annotated[float, Field(gt=0)]
Role = Literal["api", "controller", "collector", "writer", "alarms"]
ROLES: tuple[Role, ...] = get_args(Role)


def _listed(value: object) -> object:
    """A comma list as the environment gives it."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApiSettings(Section):
    host: str = "127.0.0.1"
    port: Port = 8880
    max_body_bytes: Annotated[int, Field(ge=1024)] = 4_194_304
    max_streams: Annotated[int, Field(ge=1)] = 200


class CollectorSettings(Section):
    """``advertise`` is the address that agents are told to call; empty: the host and port listened on."""

    host: str = "127.0.0.1"
    port: Port = 8881
    advertise: str = ""
    window_s: Seconds = 10.0
    lateness_s: Seconds = 2.0
    retention_days: Seconds = 14.0


class AgentSettings(Section):
    enabled: bool = True
    interval_s: Seconds = 2.0
    concurrent_installs: Annotated[int, Field(ge=1)] = 16
    install_timeout_s: Seconds = 60.0


class ReconcileSettings(Section):
    """Seconds between looks at a cloud: while something changes there, and while all is settled. ``overdue_s``: how
    long a cloud may take for an action that it has accepted. ``orphans_s``: between searches of each cloud for what is
    ours there and unknown here; 0: never."""

    busy_s: Seconds = 0.5
    idle_s: Seconds = 5.0
    overdue_s: Seconds = 900.0
    orphans_s: Annotated[float, Field(ge=0)] = 600.0


class NodeSettings(Section):
    """This process. ``roles`` is a comma list in the environment. ``region`` is where a collector stands, as clouds
    name it; VMs of that region prefer it. ``port`` serves /livez, /readyz and /metrics where there is no api role;
    0: a free one. ``dead_after_s`` of silence, and the others take a process for dead."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")] = "daemon"
    roles: Annotated[tuple[Role, ...], BeforeValidator(_listed), Field(min_length=1)] = ROLES
    region: str = ""
    host: str = "127.0.0.1"
    port: Port = 8882
    beat_s: Seconds = 2.0
    dead_after_s: Seconds = 10.0


class BusSettings(Section):
    """``url`` empty: inside this process; else ``kafka://HOST:PORT,HOST:PORT``. ``replication`` 0: as many copies as
    there are brokers, at most 3. ``metrics_hours`` is how long the brokers keep frames of samples: how long writers may
    be away. The password is read from a file, never from the URL."""

    url: str = ""
    metrics_hours: Annotated[float, Field(ge=1)] = 6.0
    prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{0,64}$")] = "mcisd."
    replication: Annotated[int, Field(ge=0, le=16)] = 0
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class StoreSettings(Section):
    """Empty: files in the home directory. At scale ``metadata_url`` is ``postgresql://USER@HOST:PORT/DATABASE`` (its
    password from a file) and ``series_url`` the address of InfluxDB, such as ``http://influx:8086``."""

    secret_key_file: Path | None = None
    metadata_url: str = ""
    metadata_password_file: Path | None = None
    series_path: str = ""
    series_url: str = ""
    series_org: str = "mcisd"
    series_bucket: str = "mcisd"
    series_token_file: Path | None = None
    events_days: Seconds = 30.0
    calls_days: Seconds = 30.0


class AlarmSettings(Section):
    """``default_channels`` get the messages of rules that name none; in the environment a comma list."""

    default_channels: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    system_defaults: bool = True


class LogSettings(Section):
    level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"


class Settings(Section):
    home: Path = Field(default_factory=lambda: default_home({}))
    node: NodeSettings = NodeSettings()
    bus: BusSettings = BusSettings()
    api: ApiSettings = ApiSettings()
    collector: CollectorSettings = CollectorSettings()
    agents: AgentSettings = AgentSettings()
    reconcile: ReconcileSettings = ReconcileSettings()
    store: StoreSettings = StoreSettings()
    alarms: AlarmSettings = AlarmSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _fits(self) -> "Settings":
        """Processes that share the work need a bus and stores that can be shared."""
        shared = {
            "bus.url": bool(self.bus.url),
            "store.metadata_url": self.store.metadata_url.startswith("postgresql"),
            "store.series_url": bool(self.store.series_url),
        }
        lacking = [name for name, there in shared.items() if not there]
        if lacking and set(self.node.roles) != set(ROLES):
            raise ValueError(
                f"setting node.roles leaves roles to other processes; that needs {' and '.join(lacking)} as well"
            )
        if self.bus.url and not self.bus.url.startswith("kafka://"):
            raise ValueError("setting bus.url must be kafka://HOST:PORT")
        return self

    @property
    def alone(self) -> bool:
        """Everything is in this one process."""
        return not self.bus.url

    @property
    def secret_key_file(self) -> Path:
        return self.store.secret_key_file or self.home / "secret.key"

    @property
    def metadata_url(self) -> str:
        return self.store.metadata_url or f"sqlite:///{self.home / 'mcisd.sqlite'}"

    @property
    def series_path(self) -> Path:
        return Path(self.store.series_path) if self.store.series_path else self.home / "series.duckdb"


def default_home(environment: Mapping[str, str]) -> Path:
    """``MCISD_HOME``, else ``$XDG_DATA_HOME/mcisd``, else ``~/.local/share/mcisd``."""
    named = environment.get("MCISD_HOME")
    if named:
        return Path(named).expanduser().absolute()
    base = environment.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "mcisd"


def load_settings(
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[str, Mapping[str, object]] | None = None,
) -> Settings:
    """The settings of one run. ``flags`` are ``{section: {key: value}}``; None values are not set. ConfigError names
    the setting, where it came from and the remedy. Without ``file``, ``HOME/mcisd.toml`` is read if it is there."""
    home = default_home(environment)
    if file is None and (home / "mcisd.toml").is_file():
        file = home / "mcisd.toml"
    tree: dict[str, Any] = {"home": home}
    origin: dict[tuple[str, ...], str] = {}
    for source, values in (
        (str(file), _from_file(file) if file else {}),
        ("the environment", _from_environment(environment)),
        ("a flag", flags or {}),
    ):
        _merge(tree, values, source, origin)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise _explained(error, origin) from None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"there is no settings file {path}", remedy="give another one with --config") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"settings file {path} cannot be read: {error}", remedy="mend the file") from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """``MCISD_SECTION_KEY`` for the sections there are; others of that prefix belong to other programs of ours."""
    found: dict[str, dict[str, str]] = {}
    for name, value in environment.items():
        if not name.startswith("MCISD_"):
            continue
        section, _, key = name.removeprefix("MCISD_").lower().partition("_")
        if key and section in Settings.model_fields:
            found.setdefault(section, {})[key] = value
    return found


def _merge(tree: dict[str, Any], values: Mapping[str, Any], source: str, origin: dict[tuple[str, ...], str]) -> None:
    for section, content in values.items():
        if isinstance(content, Mapping):
            known = tree.setdefault(section, {})
            origin[section,] = source
            for key, value in content.items():
                if value is not None and isinstance(known, dict):
                    known[key] = value
                    origin[section, key] = source
        elif content is not None:
            tree[section] = content
            origin[section,] = source


def _explained(error: ValidationError, origin: dict[tuple[str, ...], str]) -> ConfigError:
    first = error.errors(include_url=False)[0]
    path = tuple(str(part) for part in first["loc"])
    source = origin.get(path[:2]) or origin.get(path[:1]) or "the defaults"
    name = ".".join(path)
    message = first["msg"][0].lower() + first["msg"][1:]
    if not path:  # they do not fit together; the message names them
        return ConfigError(message.removeprefix("value error, "), field="node.roles", remedy="see `mcisd config show`")
    return ConfigError(f"setting {name} (from {source}): {message}", field=name, remedy="see `mcisd config show`")
