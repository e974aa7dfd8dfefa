"""Settings: flags over environment over file over defaults; what is wrong is named with its place."""

from pathlib import Path

import pytest

from mcisd.daemon.settings import Settings, default_home, load_settings
from mcisd.model.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "mcisd.toml"
    path.write_text(text)
    return path


def test_each_source_goes_over_the_one_before(tmp_path: Path) -> None:
    file = write(tmp_path, "[api]\nport = 1001\nhost = '127.0.0.2'\nmax_streams = 7\n")
    environment = {"MCISD_API_PORT": "1002", "MCISD_API_HOST": "127.0.0.3"}
    found = load_settings(file, environment, {"api": {"port": 1003, "host": None}})
    assert (found.api.port, found.api.host, found.api.max_streams) == (1003, "127.0.0.3", 7)
    assert load_settings(file, {}, {}).api.port == 1001
    assert load_settings(None, {"MCISD_HOME": str(tmp_path / "none")}).api == Settings().api


def test_the_file_in_the_home_is_read_by_itself(tmp_path: Path) -> None:
    write(tmp_path, "[log]\nlevel = 'debug'\n")
    found = load_settings(None, {"MCISD_HOME": str(tmp_path)})
    assert (found.home, found.log.level) == (tmp_path, "debug")
    assert found.metadata_url == f"sqlite:///{tmp_path}/mcisd.sqlite"
    assert found.series_path == tmp_path / "series.duckdb"


@pytest.mark.parametrize(
    ("environment", "home"),
    [
        ({"MCISD_HOME": "/x", "XDG_DATA_HOME": "/y"}, Path("/x")),
        ({"XDG_DATA_HOME": "/y"}, Path("/y/mcisd")),
        ({}, Path.home() / ".local/share/mcisd"),
    ],
)
def test_default_home(environment: dict[str, str], home: Path) -> None:
    assert default_home(environment) == home


@pytest.mark.parametrize(
    ("text", "environment", "field", "source"),
    [
        ("[api]\nport = 70000\n", {}, "api.port", "mcisd.toml"),
        ("[api]\ncolour = 1\n", {}, "api.colour", "mcisd.toml"),
        ("[kitchen]\nsink = 1\n", {}, "kitchen", "mcisd.toml"),
        ("", {"MCISD_AGENTS_INTERVAL_S": "0"}, "agents.interval_s", "the environment"),
        ("", {"MCISD_LOG_LEVEL": "loud"}, "log.level", "the environment"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, text: str, environment: dict[str, str], field: str, source: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, text), environment)
    assert caught.value.field == field
    assert source in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["[api", b"\xff\xfe".decode("latin-1") + "\x00"])
def test_a_file_that_is_no_toml(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(write(tmp_path, text), {})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no settings file"):
        load_settings(tmp_path / "none.toml", {})


def test_variables_of_other_programs_are_left_alone() -> None:
    found = load_settings(None, {"MCISD_HOME": "/nowhere", "MCISD_LOCAL_HOME": "/x", "MCISD_URL": "http://x"})
    assert found.api == Settings().api


def test_a_list_in_the_environment_is_a_comma_list(tmp_path: Path) -> None:
    environment = {"MCISD_HOME": str(tmp_path), "MCISD_ALARMS_DEFAULT_CHANNELS": "oncall, mail"}
    assert load_settings(environment=environment).alarms.default_channels == ("oncall", "mail")
