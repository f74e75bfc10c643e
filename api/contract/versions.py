"""Versions of the API: their dates, the selection by a request, and the end of version 1.

The path names a version (`/api/v1/…`), or, where it names none, the header `Mall-Api-Version`, by number or date.
Version 1 is deprecated from the moment at which version 2 becomes the default; from that moment on a request that
names no version gets version 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from actors.values import frozen
from api.contract.problems import VERSION_HEADER, Problem
from config.settings import Settings

# The guide for clients, api/MIGRATION.md, as it is served.
GUIDE = "/docs/migration"


@frozen
class Version:
    """A version, and the date since which it has only had additions."""

    number: str
    date: str

    @property
    def prefix(self) -> str:
        """Prefix of its paths."""
        return f"/api/v{self.number}/"


V1 = Version("1", "2026-01-15")
V2 = Version("2", "2026-11-01")
VERSIONS = (V1, V2)
# All accepted values of the header. A date between two versions is refused, because the client must have guessed.
NAMES: Mapping[str, Version] = {name: v for v in VERSIONS for name in (v.number, v.date)}


def named_version(headers: Mapping[str, str]) -> Version | None:
    """The version named by the header; None without the header.

    Raises:
        Problem: `version_unsupported`.
    """
    given: Sequence[str] = headers.getall(VERSION_HEADER, ())  # type: ignore[attr-defined]
    if not given:
        return None
    versions = [NAMES.get(text.strip()) for text in given]
    if versions[0] is None or any(version is not versions[0] for version in versions):
        raise unsupported()
    return versions[0]


def unsupported() -> Problem:
    """The problem for an unknown version."""
    return Problem(
        "version_unsupported", f"Send one {VERSION_HEADER} out of `supported`.", supported=sorted(NAMES)
    )


def check_agreement(number: str, headers: Mapping[str, str]) -> None:
    """Refuse a header that contradicts the version in the path.

    Raises:
        Problem: `version_conflict`, `version_unsupported`.
    """
    named = named_version(headers)
    if named is not None and named.number != number:
        raise Problem(
            "version_conflict",
            f"The path names version {number}, the header version {named.number}.",
            path_version=number,
            header_version=named.number,
        )


@frozen
class Lifecycle:
    """Dates of version 1, from the settings, in Unix seconds."""

    deprecated_s: float
    sunset_s: float
    brownouts: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, settings: Settings) -> Lifecycle:
        """Build the lifecycle from the settings."""
        brownouts = tuple((a.timestamp(), b.timestamp()) for a, b in settings.api_v1_brownouts)
        return cls(
            settings.api_v1_deprecated_at.timestamp(), settings.api_v1_sunset_at.timestamp(), brownouts
        )

    def default(self, now_s: float) -> Version:
        """The version of a request that names none."""
        return V2 if now_s >= self.deprecated_s else V1

    def check_open(self, now_s: float) -> None:
        """Refuse version 1 after its end, and during a brownout.

        Raises:
            Problem: `version_gone`, `version_brownout`.
        """
        if now_s >= self.sunset_s:
            raise Problem("version_gone", f"Use version 2; {GUIDE} says how.", migration=GUIDE)
        for begin_s, end_s in self.brownouts:
            if begin_s <= now_s < end_s:
                wait = str(max(1, -int(-(end_s - now_s) // 1)))
                detail = f"Version 1 is switched off on trial, before it ends; {GUIDE} says what to do."
                raise Problem("version_brownout", detail, headers={"Retry-After": wait}, migration=GUIDE)

    def headers(self) -> dict[str, str]:
        """Headers about the end of version 1, for all of its answers (RFC 9745, RFC 8594)."""
        return {
            VERSION_HEADER: V1.number,
            "Deprecation": f"@{int(self.deprecated_s)}",
            "Sunset": _http_date(self.sunset_s),
        }

    def as_json(self, now_s: float) -> dict[str, Any]:
        """All versions, for `GET /api/versions`."""
        default = self.default(now_s)
        return {
            "default": default.number,
            "versions": [self._v1_as_json(now_s), self._v2_as_json(now_s)],
        }

    def _v1_as_json(self, now_s: float) -> dict[str, Any]:
        status = "deprecated" if now_s >= self.deprecated_s else "current"
        return {
            "version": V1.number,
            "date": V1.date,
            "status": "gone" if now_s >= self.sunset_s else status,
            "path": V1.prefix,
            "deprecation": _rfc_3339(self.deprecated_s),
            "sunset": _rfc_3339(self.sunset_s),
            "brownouts": [{"from": _rfc_3339(a), "to": _rfc_3339(b)} for a, b in self.brownouts],
            "migration": GUIDE,
        }

    def _v2_as_json(self, now_s: float) -> dict[str, Any]:
        return {
            "version": V2.number,
            "date": V2.date,
            "status": "current" if now_s >= self.deprecated_s else "preview",
            "path": V2.prefix,
            "deprecation": None,
            "sunset": None,
            "brownouts": [],
            "migration": None,
        }


def _http_date(at_s: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(at_s), UTC), usegmt=True)


def _rfc_3339(at_s: float) -> str:
    return datetime.fromtimestamp(int(at_s), UTC).isoformat().replace("+00:00", "Z")
