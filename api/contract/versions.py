"""The versions of the API: their dates, how a request names one, and the life of the old one.

A version is named by the path (`/api/v1/…`), or, where the path names none, by the header
`Mall-Api-Version`: its number or its date. Version 1 is deprecated from the moment at which version 2 is
for everybody; that is also the moment from which a request that names no version gets version 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from actors.values import frozen
from api.contract.problems import VERSION_HEADER, Problem
from config.settings import Settings

# What to change in a client: api/MIGRATION.md, as it is served.
GUIDE = "/docs/migration"


@frozen
class Version:
    """A version and the day from which it has not changed but for additions."""

    number: str
    date: str

    @property
    def prefix(self) -> str:
        """Where its paths begin."""
        return f"/api/v{self.number}/"


V1 = Version("1", "2026-01-15")
V2 = Version("2", "2026-11-01")
VERSIONS = (V1, V2)
# All that the header may say. A date between two versions is refused: whoever sends one has guessed.
NAMES: Mapping[str, Version] = {name: v for v in VERSIONS for name in (v.number, v.date)}


def named_version(headers: Mapping[str, str]) -> Version | None:
    """The version that the header names; None when there is no header.

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
    """The problem of a version that there is not."""
    return Problem(
        "version_unsupported", f"Send one {VERSION_HEADER} out of `supported`.", supported=sorted(NAMES)
    )


def check_agreement(number: str, headers: Mapping[str, str]) -> None:
    """Refuse a header that names another version than the path does.

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
    """The dates of version 1, from the settings. Times are Unix seconds."""

    deprecated_s: float
    sunset_s: float
    brownouts: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, settings: Settings) -> Lifecycle:
        """The dates that the settings give."""
        brownouts = tuple((a.timestamp(), b.timestamp()) for a, b in settings.api_v1_brownouts)
        return cls(
            settings.api_v1_deprecated_at.timestamp(), settings.api_v1_sunset_at.timestamp(), brownouts
        )

    def default(self, now_s: float) -> Version:
        """The version of a request that names none."""
        return V2 if now_s >= self.deprecated_s else V1

    def check_open(self, now_s: float) -> None:
        """Refuse version 1 after its end, and while it is switched off on trial.

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
        """What every answer of version 1 says of its end (RFC 9745, RFC 8594)."""
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
