"""Finding the daemon: environment first, then its home."""

import json
from pathlib import Path

import pytest

from mcisd.client import ApiError
from mcisd.client.target import DEFAULT_URL, discover, home_of


def test_environment_is_enough(tmp_path: Path) -> None:
    found = discover({"MCIS_URL": "http://far:1/", "MCIS_TOKEN": "t", "MCISD_HOME": str(tmp_path)})
    assert (found.url, found.token) == ("http://far:1", "t")
    assert "token" not in repr(found)


def test_home_tells_url_and_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret-token\n")
    assert discover({"MCISD_HOME": str(tmp_path)}).url == DEFAULT_URL
    (tmp_path / "daemon.json").write_text(json.dumps({"url": "http://127.0.0.1:9", "pid": 1}))
    found = discover({"MCISD_HOME": str(tmp_path)})
    assert (found.url, found.token) == ("http://127.0.0.1:9", "secret-token")
    assert discover({"MCISD_HOME": str(tmp_path)}, url="http://other:2").url == "http://other:2"


@pytest.mark.parametrize("content", ["not json", "[]", '{"url": 5}'])
def test_an_odd_daemon_json_means_the_default(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text("t")
    (tmp_path / "daemon.json").write_text(content)
    assert discover({"MCISD_HOME": str(tmp_path)}).url == DEFAULT_URL


def test_without_a_token_the_remedy_is_told(tmp_path: Path) -> None:
    with pytest.raises(ApiError) as caught:
        discover({"MCISD_HOME": str(tmp_path)})
    assert caught.value.no_access
    assert "mcisd run" in str(caught.value)


def test_an_empty_token_and_an_odd_url_are_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(ApiError, match="holds no token"):
        discover({"MCISD_HOME": str(tmp_path)})
    with pytest.raises(ApiError, match="is not a URL"):
        discover({"MCIS_TOKEN": "t", "MCIS_URL": "localhost:8880"})


def test_home_by_environment() -> None:
    assert home_of({"XDG_DATA_HOME": "/x"}) == Path("/x/mcisd")
    assert home_of({"MCISD_HOME": "/h", "XDG_DATA_HOME": "/x"}) == Path("/h")
    assert home_of({}).parts[-3:] == (".local", "share", "mcisd")
