"""The bus over TLS with a user name and a password, against a broker with a certificate of our own making."""

import asyncio
import datetime
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from mcisd.aio.clock import SystemClock
from mcisd.bus.kafka import KafkaBus, KafkaOptions
from mcisd.demo.engines import KafkaEngine
from mcisd.model.errors import BusError
from tests.external.kafka_kit import LIMITS, TOPIC

pytestmark = pytest.mark.engines
USER, PASSWORD = "mcisd", "not-a-secret-word"


@dataclass(frozen=True, slots=True)
class SecureKafka:
    servers: str
    ca_file: Path


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority: files (key and certificate together, certificate)."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a broker of a test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    both, alone = folder / "broker.pem", folder / "ca.pem"
    both.write_bytes(private + public)
    alone.write_bytes(public)
    return both, alone


@pytest.fixture(scope="module")
def secure_kafka(engines_folder: Path) -> Iterator[SecureKafka]:
    folder = engines_folder / "kafka-secure"
    folder.mkdir()
    keys, ca_file = make_certificate(folder)
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    properties = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keys),
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.secure.scram-sha-512.sasl.jaas.config": login,
    }
    user = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
    engine = asyncio.run(
        KafkaEngine.start(
            folder / "brokers",
            properties=properties,
            listeners={"SECURE": "SASL_SSL"},
            format_with=["--add-scram", user],
            quick=True,
        )
    )
    yield SecureKafka(engine.listener("SECURE"), ca_file)
    asyncio.run(engine.wipe())


def options(kafka: SecureKafka, prefix: str) -> KafkaOptions:
    return KafkaOptions(
        kafka.servers, prefix=prefix, security="SASL_SSL", username=USER, password=PASSWORD, ca_file=kafka.ca_file,
        limits=replace(LIMITS, connect_s=5.0),
    )  # fmt: skip


async def test_publish_and_read_over_tls_with_a_password(secure_kafka: SecureKafka, kafka_prefix: str) -> None:
    bus = await KafkaBus.open(options(secure_kafka, kafka_prefix), SystemClock(), [TOPIC])
    reader, follower = bus.subscribe("load", "g"), bus.follow("load", "f")
    await bus.publish("load", "k", b"sealed")
    assert [message.value for message in await reader.fetch()] == [b"sealed"]
    assert [message.value for message in await follower.fetch()] == [b"sealed"]
    await bus.close()


async def test_wrong_password_is_said_and_not_shown(
    secure_kafka: SecureKafka, kafka_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = replace(options(secure_kafka, kafka_prefix), password="wrong-word")
    with pytest.raises(BusError) as failure:
        await KafkaBus.open(wrong, SystemClock(), [TOPIC])
    assert "wrong-word" not in str(failure.value) + caplog.text


async def test_unknown_authority_is_refused(secure_kafka: SecureKafka, kafka_prefix: str) -> None:
    with pytest.raises(BusError, match="Kafka at"):
        await KafkaBus.open(replace(options(secure_kafka, kafka_prefix), ca_file=None), SystemClock(), [TOPIC])
