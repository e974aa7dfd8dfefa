"""What a connection says about its hypervisor. In: credential and region information. Out: checked data, a safe URI."""

import json
import re
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from mcisd.model.cloud import ConnectionSpec
from mcisd.model.errors import CloudAuthError, CloudInvalidError

ZONES = ("", "host")
TEST_POOL = "default-pool"
_DRIVERS = ("qemu", "test")
_TRANSPORTS = ("", "ssh", "tls", "tcp", "unix")
_OPTIONS = frozenset(
    {"socket", "keyfile", "known_hosts", "known_hosts_verify", "mode", "pkipath", "root", "tls_priority"}
)
"""Of the URI. Left out on purpose: ``command`` and ``netcat`` start programs on the daemon's host, ``no_verify`` trusts
whoever answers."""
_BRIDGE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_PATH = re.compile(r"/[A-Za-z0-9_./@:+-]{1,900}")
_MOST_SECONDS, _MOST_OVERCOMMIT = 3600.0, 16.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Region information, checked; docs/clouds/libvirt.md tells what each key means."""

    region: str
    zone: str = ""
    test: bool = False
    pool: str = "default"
    images: str = ""
    network_mode: str = "nat"
    bridge: str = ""
    domain_type: str = ""
    firewall: bool = True
    disk_cache: str = ""
    stop_seconds: float = 30.0
    """How long a guest may take to switch itself off; then its power goes."""
    overcommit: float = 1.0
    """How often the host's memory may be given away."""
    prices: dict[str, float] = field(default_factory=dict)
    price_date: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """How to open the hypervisor; ``user`` and ``password`` where it asks for them (SASL)."""

    uri: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


def settings_of(spec: ConnectionSpec) -> Settings:
    """Checked settings; CloudInvalidError names the key that is wrong."""
    info, test = spec.region_info, spec.credential.get("uri", "").startswith("test")
    if info.get("host", spec.region) != spec.region:
        raise CloudInvalidError(
            f"region {spec.region[:60]!r} is not this host", field="region", remedy=f"use {info['host']}"
        )
    mode, _, bridge = info.get("network_mode", "nat").partition(":")
    _one_of("network_mode", mode, ("nat", "isolated", "bridge"))
    if (mode == "bridge") != bool(_BRIDGE.fullmatch(bridge)):
        raise _wrong("network_mode", "is none of ours", "use nat, isolated, or bridge:NAME of a bridge of the host")
    prices, day = _prices(info.get("prices", ""))
    return Settings(
        region=spec.region,
        zone=checked_zone(spec.zone),
        test=test,
        pool=_place("pool", info.get("pool", TEST_POOL if test else "default")),
        images=_place("images", info.get("images", "")),
        network_mode=mode,
        bridge=bridge,
        domain_type="test" if test else _one_of("domain_type", info.get("domain_type", ""), ("", "kvm", "qemu")),
        firewall=_one_of("firewall", info.get("firewall", "nwfilter"), ("nwfilter", "none")) == "nwfilter",
        disk_cache=_one_of("disk_cache", info.get("disk_cache", ""), ("", "none", "writeback", "unsafe")),
        stop_seconds=_number("stop_seconds", info.get("stop_seconds", "30"), _MOST_SECONDS),
        overcommit=_number("overcommit", info.get("overcommit", "1"), _MOST_OVERCOMMIT),
        prices=prices,
        price_date=day,
    )


def checked_zone(zone: str | None) -> str:
    """A host is one zone; CloudInvalidError for any other."""
    if (zone or "") not in ZONES:
        raise CloudInvalidError(
            f"zone {str(zone)[:60]!r} is unknown", field="zone", remedy="a host has no zones: leave it out"
        )
    return zone or ""


def access_of(credential: dict[str, str]) -> Access:
    """The URI with what it needs to never ask on a terminal; CloudInvalidError for one we do not open."""
    text = credential.get("uri", "")
    try:
        parts = urlsplit(text)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise _wrong("uri", "cannot be read", "give one such as qemu+ssh://user@host/system") from None
    driver, _, transport = parts.scheme.partition("+")
    if driver not in _DRIVERS or transport not in _TRANSPORTS or (driver == "test" and transport):
        raise _wrong("uri", "names no hypervisor of ours", "begin it with qemu:, qemu+ssh:, qemu+tls: or test:")
    if not options.keys() <= _OPTIONS:
        odd = ", ".join(sorted(options.keys() - _OPTIONS))[:80]
        raise _wrong(
            "uri", f"has an option that is not allowed ({odd})", f"leave it out; allowed: {', '.join(sorted(_OPTIONS))}"
        )
    if key := credential.get("ssh_key_file", ""):
        if not Path(key).is_file():
            raise CloudAuthError(
                "ssh_key_file does not exist on the daemon's host",
                field="ssh_key_file",
                remedy="give the path of a private key",
            )
        options["keyfile"] = key
    if transport == "ssh":
        options["no_tty"] = "1"
    query = f"?{urlencode(options, safe='/:')}" if options else ""
    uri = f"{parts.scheme}://{parts.netloc}{parts.path}{query}"
    return Access(uri, credential.get("username", ""), credential.get("password", ""))


def _place(name: str, text: str) -> str:
    """A storage pool's name or an absolute directory of the hypervisor's host."""
    if text and not (_WORD.fullmatch(text) or _PATH.fullmatch(text)):
        raise _wrong(name, "is neither a pool nor a directory", "give a pool's name or an absolute path")
    return text


def _one_of(name: str, text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise _wrong(name, f"is {text[:40]!r}", f"use one of: {', '.join(word for word in known if word)}")
    return text


def _number(name: str, text: str, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number <= most:
        raise _wrong(name, "is no number that it may be", f"give one above 0, at most {most:g}")
    return number


def _prices(text: str) -> tuple[dict[str, float], str | None]:
    """``{"date": "2026-01-31", "1-1": 0.01}``: what the owner of the host charges, USD per hour."""
    if not text:
        return {}, None
    try:
        table = dict(json.loads(text))
        day = date.fromisoformat(str(table.pop("date"))).isoformat()
        prices = {str(name): float(price) for name, price in table.items()}
    except (KeyError, TypeError, ValueError):
        prices, day = {"": -1.0}, ""
    if any(not 0 <= price < float("inf") for price in prices.values()):
        raise _wrong("prices", "cannot be read", 'give JSON such as {"date": "2026-01-31", "1-1": 0.01}')
    return prices, day


def _wrong(name: str, what: str, remedy: str) -> CloudInvalidError:
    return CloudInvalidError(f"{name} {what}", field=name, remedy=remedy)
