"""The receiver's own CA and server certificate: a directory in, an SSL context and the CA as text out.

Agents trust this CA and nothing else, and know the server by one fixed name, whatever its address is. Both are made
at the first start and kept; the server certificate is made anew when it comes near its end.
"""

import datetime
import os
import ssl
from asyncio import sslproto
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mcisd.aio.clock import Clock
from mcisd.model.errors import ConfigError

SERVER_NAME = "collector.mcisd"
_CA_DAYS = 3650
_SERVER_DAYS = 365
_RENEW_DAYS = 30
_DAY = datetime.timedelta(days=1)


def read_by_record() -> None:
    """Let asyncio read TLS by the record (16 KiB) in this process from now on.

    It keeps a buffer for reading per connection, 256 KiB by default, which would be most of what a link costs.
    """
    sslproto.SSLProtocol.max_size = 1 << 14


class LinkCertificates:
    """The files ``ca.pem``, ``ca.key`` and ``server.pem`` (certificate and key) in a directory of our own."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._ca_pem = directory / "ca.pem"
        self._ca_key = directory / "ca.key"
        self._server_pem = directory / "server.pem"
        self._clock = clock

    def ensure(self) -> None:
        """Make what is missing or near its end. Blocks for some milliseconds. ConfigError if the files do not fit."""
        self._ca_pem.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._ca_pem.exists():
            self._make_ca()
        if not self._server_pem.exists() or self._ends_soon():
            self._make_server()

    def server_context(self) -> ssl.SSLContext:
        """For the receiver; TLS 1.2 or newer. Call ``ensure`` first, and again from time to time."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._server_pem)
        return context

    def ca_pem(self) -> str:
        """The certificate that agents pin. It is no secret."""
        return self._ca_pem.read_text()

    def _ends_soon(self) -> bool:
        certificate = x509.load_pem_x509_certificate(self._server_pem.read_bytes())
        return certificate.not_valid_after_utc - self._now() < _RENEW_DAYS * _DAY

    def _now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._clock.now(), datetime.UTC)

    def _make_ca(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("mcisd collector CA")
        builder = _builder(name, name, key.public_key(), self._now(), _CA_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
        _write(self._ca_key, _key_pem(key))
        _write(self._ca_pem, builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _make_server(self) -> None:
        ca_key, ca = self._load_ca()
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(SERVER_NAME), ca.subject, key.public_key(), self._now(), _SERVER_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(sign_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        certificate = builder.sign(ca_key, hashes.SHA256())
        _write(self._server_pem, certificate.public_bytes(serialization.Encoding.PEM) + _key_pem(key))

    def _load_ca(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        try:
            key = serialization.load_pem_private_key(self._ca_key.read_bytes(), None)
            ca = x509.load_pem_x509_certificate(self._ca_pem.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the collector's CA cannot be read: {error}",
                field=str(self._ca_key),
                remedy="restore it, or remove ca.pem and ca.key and install all agents again",
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != ca.public_key():
            raise ConfigError("ca.key is not the key of ca.pem", field=str(self._ca_key), remedy="restore both files")
        return key, ca


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    """Valid from a day ago, as the clocks of VMs differ."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + days * _DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, and never readable by others."""
    part = path.with_suffix(path.suffix + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
