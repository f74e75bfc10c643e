"""Certificates of a private authority, for tests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_BEGIN = datetime(2020, 1, 1, tzinfo=UTC)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
) -> x509.Certificate:
    builder = x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(_name(issuer))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(_BEGIN).not_valid_after(_BEGIN + timedelta(days=36_500))
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    )
    return builder.add_extension(authority, critical=False).sign(signer, hashes.SHA256())


def make_certificates(folder: Path, names: Iterable[str]) -> dict[str, tuple[Path, Path, Path]]:
    """Certificate, key and authority in PEM files, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    signer = ec.generate_private_key(ec.SECP256R1())
    title = f"authority of {folder.name}"
    authority = folder / "authority.pem"
    pem = serialization.Encoding.PEM
    authority.write_bytes(_certificate(title, signer, title, signer, ca=True).public_bytes(pem))
    made = {}
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        files = (folder / f"{name}.pem", folder / f"{name}.key", authority)
        files[0].write_bytes(_certificate(name, key, title, signer, ca=False).public_bytes(pem))
        plain = serialization.NoEncryption()
        files[1].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        made[name] = files
    return made
