"""The one exception of the client: what the daemon answered, or why no answer came."""

from typing import Any

from mcisd.model.errors import McisdError

UNREACHABLE = "unreachable"
TIMEOUT = "timeout"
UNAUTHORIZED = 401


class ApiError(McisdError):
    """``status`` is the HTTP status, 0 where no answer came; ``code`` names the error for programs, ``detail`` is one
    sentence, ``field`` and ``remedy`` say where the mistake is and how to mend it."""

    def __init__(
        self, detail: str, *, status: int = 0, code: str = "error", field: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(detail, field=field, remedy=remedy)
        self.status = status
        self.code = code

    @property
    def detail(self) -> str:
        return self.message

    @property
    def no_access(self) -> bool:
        """Nobody answered, or we are not let in."""
        return self.status == UNAUTHORIZED or self.code == UNREACHABLE

    def __str__(self) -> str:
        """One line: what is wrong, where, and what to do."""
        text = self.message + (f" (field {self.field})" if self.field else "")
        text = text if text.endswith(".") else f"{text}."
        return f"{text} Remedy: {self.remedy}" if self.remedy else text


def from_answer(status: int, body: Any, reason: str) -> ApiError:
    """The error of an answer; ``body`` is its JSON, whatever that may be."""
    problem = body if isinstance(body, dict) else {}
    remedy = problem.get("remedy")
    if status == UNAUTHORIZED and not remedy:
        remedy = "check MCIS_TOKEN, or MCISD_HOME with the token file of the daemon"
    return ApiError(
        str(problem.get("detail") or problem.get("title") or f"the daemon answered {status} {reason}"),
        status=status,
        code=str(problem.get("code") or "http"),
        field=str(problem["field"]) if problem.get("field") else None,
        remedy=str(remedy) if remedy else None,
    )


def unreachable(url: str, why: str) -> ApiError:
    """Nobody answers at ``url``."""
    return ApiError(
        f"no daemon answers at {url} ({why})",
        code=UNREACHABLE,
        remedy="start it with `mcisd run`, or give its address with --url or MCIS_URL",
    )


def too_late(what: str, seconds: float) -> ApiError:
    """No answer in time."""
    return ApiError(
        f"{what}: no answer within {seconds:g} s",
        code=TIMEOUT,
        remedy="ask again; see `mcis ops` for what is under way",
    )
