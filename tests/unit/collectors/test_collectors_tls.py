"""Certificates: made once, kept, renewed in time, readable by nobody else."""

import datetime
from pathlib import Path

import pytest
from cryptography import x509

from mcisd.aio.clock import ManualClock
from mcisd.collectors.tls import SERVER_NAME, LinkCertificates
from mcisd.model.errors import ConfigError

DAY = 86_400.0


def server_of(directory: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / "server.pem").read_bytes())


def test_made_at_first_start_with_mode_0600(tmp_path: Path) -> None:
    directory = tmp_path / "tls"
    certificates = LinkCertificates(directory, ManualClock())
    certificates.ensure()
    assert {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()} == {
        "ca.pem": 0o600,
        "ca.key": 0o600,
        "server.pem": 0o600,
    }
    assert directory.stat().st_mode & 0o777 == 0o700
    assert "PRIVATE KEY" not in certificates.ca_pem()
    names = server_of(directory).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [SERVER_NAME]
    server_of(directory).verify_directly_issued_by(x509.load_pem_x509_certificate(certificates.ca_pem().encode()))
    certificates.server_context()


async def test_kept_over_a_restart_and_renewed_with_the_same_ca(tmp_path: Path) -> None:
    clock = ManualClock()
    LinkCertificates(tmp_path, clock).ensure()
    ca, first = (tmp_path / "ca.pem").read_text(), server_of(tmp_path)
    await clock.advance(330 * DAY)
    LinkCertificates(tmp_path, clock).ensure()
    assert server_of(tmp_path) == first
    await clock.advance(10 * DAY)
    LinkCertificates(tmp_path, clock).ensure()
    renewed = server_of(tmp_path)
    assert renewed.not_valid_after_utc - first.not_valid_after_utc == datetime.timedelta(days=340)
    assert (tmp_path / "ca.pem").read_text() == ca


def test_key_that_does_not_fit_or_cannot_be_read_is_said(tmp_path: Path) -> None:
    one, two = LinkCertificates(tmp_path / "1", ManualClock()), LinkCertificates(tmp_path / "2", ManualClock())
    one.ensure()
    two.ensure()
    (tmp_path / "1" / "server.pem").unlink()
    (tmp_path / "1" / "ca.key").write_bytes((tmp_path / "2" / "ca.key").read_bytes())
    with pytest.raises(ConfigError, match="not the key"):
        one.ensure()
    (tmp_path / "1" / "ca.key").write_text("rubbish")
    with pytest.raises(ConfigError, match="cannot be read"):
        one.ensure()
