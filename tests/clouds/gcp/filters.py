"""Google's two filter languages, as far as they are used here. In: a filter and objects. Out: those that match."""

import re
from collections.abc import Callable, Iterable

from tests.clouds.gcp.faces import Json, Refusal

Test = Callable[[Json], bool]
_REGULAR = re.compile(r"""(?P<field>[\w.-]+) eq (?P<quote>['"]?)(?P<pattern>.+)(?P=quote)""")
_PLAIN = re.compile(r'\((?P<field>[\w.-]+) (?P<sign>=|!=) "(?P<value>[^"]*)"\)')


def matching(text: str, items: Iterable[Json]) -> list[Json]:
    """The objects a list shows."""
    test = _test(text) if text else lambda item: True
    return [item for item in items if test(item)]


def _test(text: str) -> Test:
    if match := _REGULAR.fullmatch(text):
        pattern, name = re.compile(match["pattern"]), match["field"]
        return lambda item: pattern.fullmatch(_field(item, name) or "") is not None
    parts = [_PLAIN.fullmatch(part) for part in text.split(" AND ")]
    if not all(parts):
        raise Refusal(400, "invalid", f"Invalid value for field 'filter': '{text}'. Invalid list filter expression.")
    wanted = [(part["field"], part["sign"] == "=", part["value"]) for part in parts if part]
    return lambda item: all((_field(item, name) == value) is same for name, same, value in wanted)


def _field(item: Json, name: str) -> str | None:
    first, _, rest = name.partition(".")
    value = item.get(first)
    if rest:
        return _field(value, rest) if isinstance(value, dict) else None
    return None if value is None else str(value)
