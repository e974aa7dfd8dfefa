"""Names of ours as InfluxDB may hold them, and back.

Line protocol has no way to write some characters (a line feed, a backslash before a comma), InfluxDB keeps some names
for itself, and a name that comes from an agent must never end a line or a string. So such names are written with
``%XX`` and a mark at their end; all others, those of Telegraf's inputs among them, are kept as they are. Every name
comes back as it was, but for the one-character name NUL, which comes back empty.
"""

import re

STATISTICS = ("sum", "min", "max", "count")
"""What each field has beside its last value: ``used``, ``used:sum``, ``used:min``, …"""
SUFFIX = f":({'|'.join(STATISTICS)})$"
IDENTITY = frozenset(("connection", "host", "infra", "ns", "provider", "region", "vm"))
"""Tags that say whose series it is. The same names used for something else get a mark."""
KEPT = IDENTITY | {"time", "result", "table", "error", "reference"}
KEPT |= {"_measurement", "_field", "_time", "_value", "_start", "_stop"}
CATALOGUE = "mcisd_series"
"""The measurement that says what kind each field is."""
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]|^#|%(?=[01][0-9A-F]|23|25|5C|7F)")
_ENCODED = re.compile(r"%([01][0-9A-F]|23|25|5C|7F)")
_ENDS = re.compile(SUFFIX)


def encode(text: str) -> str:
    """A measurement or the value of a tag, with nothing in it that line protocol cannot tell."""
    if not text:
        return "%00"
    whole = text.encode("utf-8", "replace").decode()
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", whole)


def decode(text: str) -> str:
    if "%" not in text:
        return text
    return "" if text == "%00" else _ENCODED.sub(lambda found: chr(int(found[1], 16)), text)


def encode_measurement(name: str) -> str:
    safe = encode(name)
    return safe + "_" if safe.rstrip("_") == CATALOGUE else safe


def decode_measurement(name: str) -> str:
    return decode(name[:-1] if name.endswith("_") and name.rstrip("_") == CATALOGUE else name)


def encode_key(key: str) -> str:
    """A tag's key: never one that means something else here."""
    safe = encode(key)
    return safe + "_" if safe.rstrip("_") in KEPT else safe


def decode_key(key: str) -> str:
    marked = key.endswith("_") and key.rstrip("_") in KEPT
    return decode(key[:-1] if marked else key)


def encode_field(name: str) -> str:
    """A field: never one that looks like a statistic of another."""
    safe = encode(name)
    return safe + ":" if safe.endswith(":") or safe == "time" or _ENDS.search(safe) else safe


def decode_field(name: str) -> str:
    """From a stored field that is a last value (without the suffix of a statistic)."""
    return decode(name.removesuffix(":"))


def without_suffix(name: str) -> tuple[str, str]:
    """A stored field as ``(field, statistic)``; the statistic is ``last`` where it bears none."""
    base, _, statistic = name.rpartition(":")
    return (base, statistic) if base and statistic in STATISTICS else (name, "last")
