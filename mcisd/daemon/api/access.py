"""Who may use the API: one token, made at first start; one-time links that open the console; its session cookie."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from mcisd.model.errors import AccessError, ConfigError

COOKIE = "mcisd_session"
CONSOLE_HEADER = "X-Mcisd"
LINK_LIFE = 600.0
SESSION_LIFE = 7 * 86_400.0
MAX_LINKS = 100


class Access:
    """Checks requests. ``now`` is wall-clock time."""

    def __init__(self, token: str, now: Callable[[], float]) -> None:
        self._token = token.encode()
        self._now = now
        self._links: dict[str, float] = {}

    def check(self, request: web.Request) -> None:
        """AccessError unless the request bears the token, or the console's cookie (and its header on writes)."""
        header = request.headers.get("Authorization", "")
        scheme, _, value = header.partition(" ")
        if scheme.lower() == "bearer" and _same(value.strip(), self._token):
            return
        cookie = request.cookies.get(COOKIE, "")
        reading = request.method in ("GET", "HEAD")
        # The header cannot be sent by another site's form or image, so a stolen click changes nothing.
        if cookie and self._session_ok(cookie) and (reading or request.headers.get(CONSOLE_HEADER) == "1"):
            return
        raise AccessError("no valid token")

    def new_link(self) -> str:
        """The code of a link that opens the console once, within ten minutes."""
        now = self._now()
        self._links = {code: end for code, end in self._links.items() if end > now}
        while len(self._links) >= MAX_LINKS:
            del self._links[next(iter(self._links))]
        code = secrets.token_urlsafe(24)
        self._links[code] = now + LINK_LIFE
        return code

    def redeem(self, code: str) -> str:
        """The session cookie for a link's code; AccessError if it is unknown, used or old."""
        end = self._links.pop(code, 0.0)
        if end <= self._now():
            raise AccessError("this link was used already or is too old")
        expires = str(int(self._now() + SESSION_LIFE))
        return f"{expires}.{self._sign(expires)}"

    def _session_ok(self, cookie: str) -> bool:
        expires, _, signature = cookie.partition(".")
        return (
            expires.isascii()
            and expires.isdigit()
            and _same(signature, self._sign(expires).encode())
            and int(expires) > self._now()
        )

    def _sign(self, text: str) -> str:
        return hmac.new(self._token, b"session:" + text.encode(), hashlib.sha256).hexdigest()


def _same(given: str, secret: bytes) -> bool:
    """Compared in constant time. A header may hold bytes that are no text; they are just wrong."""
    return hmac.compare_digest(given.encode(errors="surrogateescape"), secret)


def load_token(path: Path) -> str:
    """The API token; made at first start in a file of mode 0600. ConfigError if others may read it."""
    try:
        mode = path.stat().st_mode & 0o077
    except FileNotFoundError:
        return _make_token(path)
    if mode:
        raise ConfigError(f"token file {path} may be read by others", remedy=f"chmod 600 {path}")
    token = path.read_text().strip()
    if len(token) < 20:
        raise ConfigError(f"token file {path} holds no token", remedy="delete it; a new one is made at the next start")
    return token


def _make_token(path: Path) -> str:
    token = secrets.token_urlsafe(32)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token + "\n")
    return token
