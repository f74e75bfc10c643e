"""TLS for links between instances, with certificates of a private authority on both sides.

Host names are not checked, because instances are dialled by address. The handshake's proof identifies an instance, and
covers the server's certificate (proof.py).
"""

from __future__ import annotations

import ipaddress
import ssl
from hashlib import sha256
from pathlib import Path

from actors.values import frozen


class TlsError(Exception):
    """The certificate, key or authority cannot be used. The message says which and why."""


@frozen
class PeerTls:
    """TLS of one instance: contexts for both ends, and the fingerprint of its certificate."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    fingerprint: str


def load_peer_tls(certificate: Path, key: Path, authority: Path) -> PeerTls:
    """Load certificate, key and authority from PEM files.

    Raises:
        TlsError: a file cannot be read, or they do not belong together.
    """
    contexts = []
    for purpose in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
        context = ssl.SSLContext(purpose)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        for what, path in (("certificate", certificate), ("key", key), ("authority", authority)):
            if not path.is_file():
                raise TlsError(f"the {what} of the peers' lines is no file: {path}")
        try:
            context.load_cert_chain(certificate, key)
        except (OSError, ValueError) as error:
            raise TlsError(f"{certificate} and {key} are no certificate with its key: {error}") from None
        try:
            context.load_verify_locations(authority)
        except (OSError, ValueError) as error:
            raise TlsError(f"{authority} is no certificate of an authority: {error}") from None
        contexts.append(context)
    return PeerTls(contexts[0], contexts[1], fingerprint(_first(certificate)))


def _first(path: Path) -> bytes:
    """The first certificate of a file: the instance's own. Those after it are its chain."""
    end = "-----END CERTIFICATE-----"
    text = path.read_text()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE-----") : text.index(end)] + end)


def fingerprint(certificate: bytes) -> str:
    """Fingerprint of a certificate: SHA-256 of its DER."""
    return sha256(certificate).hexdigest()


def is_loopback(host: str) -> bool:
    """True for a loopback address, whose traffic does not leave the machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
