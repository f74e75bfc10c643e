"""Every setting, once. Read from the environment at start, and refused there if it is wrong."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Switch = Literal["on", "off"]
Port = Annotated[int, Field(ge=0, le=65535)]


def _own_name() -> str:
    """A name that instances on other hosts do not have."""
    host = re.sub(r"[^a-z0-9.-]", "-", socket.gethostname().lower()).strip("-.")[:40]
    return f"{host or 'mall'}-1"


class SettingsError(Exception):
    """The environment is wrong; the message names each variable and what is wrong with it."""


class Settings(BaseSettings):
    """What an instance needs to know. Field `x` is read from the variable in its alias."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    database_url: str | None = Field(
        None,
        alias="DATABASE_URL",
        description="Postgres 15 to 18. Absent: an embedded one in the data folder.",
    )
    redis_url: str | None = Field(
        None, alias="REDIS_URL", description="Redis 6.2 or newer, or Valkey. Absent: an embedded one."
    )
    host: str = Field("127.0.0.1", alias="MALL_HOST", description="Address of the public port.")
    port: Port = Field(8080, alias="MALL_PORT", description="Public port: REST and the drivers' feed.")
    ops_port: Port = Field(8081, alias="MALL_OPS_PORT", description="Metrics, status, health. Never public.")
    ops_host: str = Field("127.0.0.1", alias="MALL_OPS_HOST", description="Address of the ops port.")
    instance: str = Field(
        _own_name(),
        alias="MALL_INSTANCE",
        pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$",
        description="Stable name of this instance, of no other one; a restart under it takes its shards back.",
    )
    peer_host: str = Field(
        "127.0.0.1", alias="MALL_PEER_HOST", description="Address that other instances reach."
    )
    peer_port: Port = Field(
        0, alias="MALL_PEER_PORT", description="Port that other instances reach; 0: any that is free."
    )
    peer_advertise: str = Field(
        "",
        alias="MALL_PEER_ADVERTISE",
        pattern=r"^$|^[^\s:]{1,253}:[0-9]{1,5}$",
        description="host:port that other instances dial where it is not the one above (NAT, a proxy).",
    )
    data_dir: Path = Field(
        Path(".mall"), alias="MALL_DATA_DIR", description="Where embedded servers keep data."
    )
    admin_email: str = Field(
        "admin@mall.example",
        alias="MALL_ADMIN_EMAIL",
        pattern=r"^[^@\s]{1,64}@[^@\s]{1,189}$",
        description="The first administrator, created when there is none.",
    )
    admin_password: str | None = Field(
        None,
        alias="MALL_ADMIN_PASSWORD",
        min_length=8,
        max_length=128,
        description="Its password. Absent: generated and shown once (embedded mode only; else required).",
    )
    sample: Switch = Field("on", alias="MALL_SAMPLE", description="A small sample mall in embedded mode.")
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", alias="MALL_LOG_FORMAT", description="auto: console on a terminal, JSON otherwise."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", alias="MALL_LOG_LEVEL", description="The least level that is written."
    )
    rate_limits: Switch = Field("on", alias="MALL_RATE_LIMITS", description="Limits per user and address.")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        alias="MALL_CORS_ORIGINS",
        description="Browser origins allowed, separated by commas. No wildcard.",
    )
    api_v1_deprecated_at: AwareDatetime = Field(
        datetime(2026, 11, 1, tzinfo=UTC),
        alias="MALL_API_V1_DEPRECATED_AT",
        description="From when on version 1 of the API is deprecated and version 2 the default.",
    )
    api_v1_sunset_at: AwareDatetime = Field(
        datetime(2028, 11, 1, tzinfo=UTC),
        alias="MALL_API_V1_SUNSET_AT",
        description="From when on version 1 of the API is gone (410).",
    )
    api_v1_brownouts: Annotated[tuple[tuple[AwareDatetime, AwareDatetime], ...], NoDecode] = Field(
        (),
        alias="MALL_API_V1_BROWNOUTS",
        description="When version 1 is switched off on trial: begin/end, more of them after commas.",
    )
    pool_size: int = Field(
        10, alias="MALL_POOL_SIZE", ge=2, le=200, description="Most Postgres connections, lanes not counted."
    )
    drain_s: float = Field(
        8.0, alias="MALL_DRAIN_S", ge=0, le=60, description="Over how long sockets are sent away at SIGTERM."
    )
    loop: Literal["uvloop", "asyncio"] = Field("uvloop", alias="MALL_LOOP", description="Event loop.")

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("api_v1_brownouts", mode="before")
    @classmethod
    def _split_brownouts(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        spans = [tuple(part.strip().split("/")) for part in value.split(",") if part.strip()]
        if any(len(span) != 2 for span in spans):
            raise ValueError("must be begin/end, such as 2028-10-01T12:00:00Z/2028-10-01T12:30:00Z")
        return tuple(spans)

    @model_validator(mode="after")
    def _ends_after_it_is_deprecated(self) -> Settings:
        if self.api_v1_sunset_at < self.api_v1_deprecated_at:
            raise ValueError("MALL_API_V1_SUNSET_AT must not be before MALL_API_V1_DEPRECATED_AT")
        if any(begin >= end for begin, end in self.api_v1_brownouts):
            raise ValueError("MALL_API_V1_BROWNOUTS: each must end after it begins")
        return self

    @field_validator("cors_origins")
    @classmethod
    def _explicit_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not origin.startswith(("http://", "https://")) or origin.endswith("/") or "*" in origin:
                raise ValueError(f"{origin!r} is no origin such as https://shop.example")
        return value

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return None if value is None else "postgresql://" + value.split("://", 1)[1]

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value

    @model_validator(mode="after")
    def _password_outside(self) -> Settings:
        if self.database_url is not None and self.admin_password is None:
            raise ValueError("MALL_ADMIN_PASSWORD is required when DATABASE_URL is set")
        return self

    @property
    def embedded(self) -> bool:
        """True when the database is the embedded one."""
        return self.database_url is None


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; an empty variable counts as absent.

    Raises:
        SettingsError: names every variable that is wrong.
    """
    try:
        if environ is None:
            return Settings(_env_ignore_empty=True)
        known = {str(field.alias) for field in Settings.model_fields.values()}
        return Settings.model_validate({k: v for k, v in environ.items() if k in known and v != ""})
    except ValidationError as error:
        lines = []
        for fault in error.errors():
            name = ".".join(str(part) for part in fault["loc"])
            message = fault["msg"].removeprefix("Value error, ")
            lines.append(f"{name}: {message}" if name else message)
        raise SettingsError("\n".join(lines)) from None


def describe() -> str:
    """All settings as lines for `--help` and the README."""
    lines = []
    for field in Settings.model_fields.values():
        default = "" if field.default is None or field.default == () else f" [{field.default}]"
        lines.append(f"  {field.alias:<20} {field.description}{default}")
    return "\n".join(lines)
