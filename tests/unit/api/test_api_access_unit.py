"""Token, one-time links and the console's cookie, on a clock that the test moves."""

from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from mcisd.aio.clock import ManualClock
from mcisd.daemon.api.access import LINK_LIFE, MAX_LINKS, SESSION_LIFE, Access, load_token
from mcisd.model.errors import AccessError, ConfigError

TOKEN = "t" * 43


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def access(clock: ManualClock) -> Access:
    return Access(TOKEN, clock.now)


def allowed(access: Access, method: str = "GET", **headers: str) -> bool:
    request = make_mocked_request(method, "/api/v1/ns", headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        access.check(request)
    except AccessError:
        return False
    return True


def test_the_token_opens_everything(access: Access) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert allowed(access, method, Authorization=f"Bearer {TOKEN}")
        assert allowed(access, method, Authorization=f"bearer  {TOKEN} ")
        for wrong in ("", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN):
            assert not allowed(access, method, Authorization=wrong)


def test_a_link_gives_a_cookie_once(access: Access) -> None:
    code = access.new_link()
    cookie = f"mcisd_session={access.redeem(code)}"
    assert allowed(access, "GET", Cookie=cookie)
    assert not allowed(access, "POST", Cookie=cookie)
    assert not allowed(access, "POST", Cookie=cookie, X_Mcisd="0")
    assert allowed(access, "POST", Cookie=cookie, X_Mcisd="1")
    with pytest.raises(AccessError):
        access.redeem(code)
    with pytest.raises(AccessError):
        access.redeem("")


async def test_links_and_cookies_end(access: Access, clock: ManualClock) -> None:
    late, good = access.new_link(), access.new_link()
    cookie = f"mcisd_session={access.redeem(good)}"
    await clock.advance(LINK_LIFE)
    with pytest.raises(AccessError):
        access.redeem(late)
    await clock.advance(SESSION_LIFE - LINK_LIFE - 1)
    assert allowed(access, Cookie=cookie)
    await clock.advance(2)
    assert not allowed(access, Cookie=cookie)


def test_links_are_bounded(access: Access) -> None:
    codes = [access.new_link() for _ in range(MAX_LINKS + 1)]
    with pytest.raises(AccessError):
        access.redeem(codes[0])
    assert access.redeem(codes[1])


def test_a_cookie_cannot_be_made_longer_or_by_another_token(access: Access, clock: ManualClock) -> None:
    ends, _, signature = access.redeem(access.new_link()).partition(".")
    other = Access("o" * 43, clock.now)
    forged = [f"{int(ends) + 1}.{signature}", f"{ends}.", f".{signature}", "", "²³.x", other.redeem(other.new_link())]
    for cookie in forged:
        assert not allowed(access, Cookie=f"mcisd_session={cookie}")


def test_the_token_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    made = load_token(path)
    assert len(made) >= 43
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_token(path) == made
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="read by others"):
        load_token(path)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(ConfigError, match="holds no token"):
        load_token(path)
