"""Address of an SMTP server, as MALL_SMTP_URL gives it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

# How the connection is encrypted: from its begin, by STARTTLS, or not at all.
SmtpTls = Literal["implicit", "start", "none"]
_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True)
class SmtpAddress:
    """An SMTP server, and how to log in there."""

    host: str
    port: int
    tls: SmtpTls
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def read_smtp_url(url: str) -> SmtpAddress:
    """Read smtp://user:password@host:587?tls=start, smtp://host:25?tls=none or smtps://host.

    Without `tls` an smtp:// address is encrypted by STARTTLS, so nothing is sent in the clear by mistake.

    Raises:
        ValueError: says what is wrong; it does not repeat the password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("must be an address such as smtp://user:password@host:587") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/") or parts.fragment:
        raise ValueError("must be an address such as smtp://user:password@host:587 or smtps://host")
    return SmtpAddress(
        host=parts.hostname,
        port=_PORTS[parts.scheme] if port is None else port,
        tls=_tls_of(parts.scheme, parts.query),
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )


def _tls_of(scheme: str, query: str) -> SmtpTls:
    options = dict(parse_qsl(query, keep_blank_values=True))
    wanted = options.pop("tls", "start" if scheme == "smtp" else "implicit")
    if options:
        raise ValueError(f"knows no option {min(options)}; the only one is tls=start or tls=none")
    if scheme == "smtps":
        if wanted != "implicit":
            raise ValueError("smtps:// is encrypted from its begin, and takes no tls option")
        return "implicit"
    if wanted == "start":
        return "start"
    if wanted == "none":
        return "none"
    raise ValueError("must have tls=start or tls=none")
