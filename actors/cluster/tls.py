"""TLS for lines between instances, with certificates of a private authority on both sides.

Names are not compared: instances are dialled by addresses, and who an instance is, the proof of the greeting says,
which holds the server's certificate (proof.py).
"""

from __future__ import annotations

import ipaddress
import ssl
from hashlib import sha256
from pathlib import Path

from actors.values import frozen


class TlsError(Exception):
    """The certificate, the key or the authority cannot be used; the message says which and why."""


@frozen
class PeerTls:
    """What one instance needs: contexts for both ends, and the fingerprint of its own certificate."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    fingerprint: str


def load_peer_tls(certificate: Path, key: Path, authority: Path) -> PeerTls:
    """Read the three files, in PEM.

    Raises:
        TlsError: one cannot be read, or they do not belong together.
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
    """The first certificate of a file: the instance's own, those after it lead to the authority."""
    end = "-----END CERTIFICATE-----"
    text = path.read_text()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE-----") : text.index(end)] + end)


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a certificate in DER."""
    return sha256(certificate).hexdigest()


def is_loopback(host: str) -> bool:
    """True when what is said there leaves the machine in no way."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
