"""How to reach Kafka, and how much to ask of it. In: settings. Out: arguments for each kind of client."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcisd.model.errors import ConfigError

REQUEST_MS = 40_000
"""Longer than a rebalance may take: the request to join a group waits for it."""
POLL_MS = 3_600_000
"""A consumer that did not read for so long gives its partitions away. Waiting for a store that is down is no fault."""


@dataclass(frozen=True, slots=True)
class KafkaLimits:
    """Bounds in bytes, messages and seconds. ``batch_bytes`` bounds one write to one partition, ``in_flight_bytes`` all
    that was published and is not acknowledged, ``delivery_s`` how long a message may wait for the brokers to take it.
    ``handover_s`` bounds what a consumer does before its partitions go; a rebalance waits that long and a little more.
    """

    batch_bytes: int = 262_144
    message_bytes: int = 900_000
    in_flight_bytes: int = 33_554_432
    linger_s: float = 0.005
    delivery_s: float = 60.0
    connect_s: float = 30.0
    close_s: float = 10.0
    handover_s: float = 20.0
    session_s: float = 10.0
    heartbeat_s: float = 3.0
    read_ahead: int = 4_000


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """``servers`` is ``HOST:PORT,…``; topics and groups are named ``prefix`` + name. ``replication`` 0: as many copies
    as there are brokers, at most 3. ``security`` and ``sasl_mechanism`` are named as Kafka names them."""

    servers: str
    prefix: str = "mcisd."
    replication: int = 0
    security: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    client_id: str = "mcisd"
    limits: KafkaLimits = KafkaLimits()


def client_arguments(options: KafkaOptions) -> dict[str, Any]:
    """What every client of the library is given. ConfigError if a certificate or a name is missing or wrong."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in options.servers.split(",")],
        "client_id": options.client_id,
        "request_timeout_ms": REQUEST_MS,
        "retry_backoff_ms": 200,
        "security_protocol": options.security,
    }
    if options.security.endswith("SSL"):
        arguments["ssl_context"] = _tls(options)
    if options.security.startswith("SASL"):
        if not options.username or not options.password:
            raise ConfigError(
                f"bus.security is {options.security}, but there is no user name or no password",
                field="bus.username",
                remedy="set bus.username and bus.password_file",
            )
        arguments |= {
            "sasl_mechanism": options.sasl_mechanism,
            "sasl_plain_username": options.username,
            "sasl_plain_password": options.password,
        }
    return arguments


def _tls(options: KafkaOptions) -> ssl.SSLContext:
    """Certificates are always checked, and so is the name of the host."""
    asked = "bus.ca_file"
    try:
        context = ssl.create_default_context(cafile=str(options.ca_file) if options.ca_file else None)
        if options.cert_file:
            asked = "bus.cert_file"
            context.load_cert_chain(str(options.cert_file), str(options.key_file) if options.key_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"{asked}: the certificate cannot be used: {error}", field=asked, remedy="give a readable PEM file"
        ) from None
    return context
