"""All settings, each declared once. Read from the environment and validated at start."""

from __future__ import annotations

import base64
import os
import re
import socket
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from config.findings import unknown_name
from config.sample_secrets import DIFFERENT_MIN, is_sample
from config.smtp_address import read_smtp_url

Switch = Literal["on", "off"]
# In place of an address: what would be sent is kept.
SANDBOX = "sandbox"
Port = Annotated[int, Field(ge=0, le=65535)]
# Each hit is stored, so a limit needs a maximum. With a host, as browsers send it; Cordova's pages send `file://`.
_ORIGIN = r"(?!https?://$)[a-z][a-z0-9+.-]*://([A-Za-z0-9._~-]+|\[[0-9a-fA-F:.]+\])?(:[0-9]{1,5})?"
PerMin = Annotated[int, Field(ge=1, le=10_000)]


def _own_name() -> str:
    """Default name that instances on other hosts do not have."""
    host = re.sub(r"[^a-z0-9.-]", "-", socket.gethostname().lower()).strip("-.")[:40]
    return f"{host or 'mall'}-1"


def _keys_of(text: str) -> tuple[bytes, ...]:
    """Keys of 32 bytes in base64, separated by commas.

    Raises:
        ValueError: one is none. The message does not show it.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    try:
        keys = tuple(base64.b64decode(part, validate=True) for part in parts)
    except ValueError:
        keys = (b"",)
    if any(len(key) != 32 for key in keys):
        raise ValueError("must be 32 bytes in base64: openssl rand -base64 32")
    return keys


class SettingsError(Exception):
    """The environment is invalid. The message names each variable and its problem."""


class Settings(BaseModel):
    """Settings of an instance. Field `x` is read from the variable in its alias."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

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
    ops_port: Port = Field(
        8081,
        alias="MALL_OPS_PORT",
        description="Metrics, status, health. Never public. With --instances of the machine; theirs follow it.",
    )
    ops_host: str = Field("127.0.0.1", alias="MALL_OPS_HOST", description="Address of the ops port.")
    ops_names: tuple[str, ...] = Field(
        (),
        alias="MALL_OPS_NAMES",
        description="Host names under which the ops port may be asked, by commas; addresses always may.",
    )
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
    peer_tls_cert: Path | None = Field(
        None,
        alias="MALL_PEER_TLS_CERT",
        description="Certificate (PEM) of this instance for lines to others; with _KEY and _CA. Not used on loopback.",
    )
    peer_tls_key: Path | None = Field(None, alias="MALL_PEER_TLS_KEY", description="Its private key (PEM).")
    peer_tls_ca: Path | None = Field(
        None,
        alias="MALL_PEER_TLS_CA",
        description="The authority (PEM) that has signed all instances' certificates.",
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
    limit_auth_per_min: PerMin = Field(
        5,
        alias="MALL_LIMIT_AUTH_PER_MIN",
        description="Failed logins and registrations a minute of an address.",
    )
    limit_refresh_per_min: PerMin = Field(
        60, alias="MALL_LIMIT_REFRESH_PER_MIN", description="Refreshes that fail, a minute of an address."
    )
    limit_orders_per_min: PerMin = Field(
        20, alias="MALL_LIMIT_ORDERS_PER_MIN", description="New orders a minute of a user."
    )
    limit_reads_per_min: PerMin = Field(
        100, alias="MALL_LIMIT_READS_PER_MIN", description="Reads a minute of a user."
    )
    limit_writes_per_min: PerMin = Field(
        120, alias="MALL_LIMIT_WRITES_PER_MIN", description="Other writes a minute of a user."
    )
    limit_tickets_per_min: PerMin = Field(
        20, alias="MALL_LIMIT_TICKETS_PER_MIN", description="Tickets for the feed a minute of a driver."
    )
    limit_commands_per_min: PerMin = Field(
        600, alias="MALL_LIMIT_COMMANDS_PER_MIN", description="Commands a minute of a user on an instance."
    )
    limit_locations_per_min: PerMin = Field(
        240, alias="MALL_LIMIT_LOCATIONS_PER_MIN", description="Places a minute of a driver on an instance."
    )
    limit_address_factor: int = Field(
        10,
        alias="MALL_LIMIT_ADDRESS_FACTOR",
        ge=1,
        le=100,
        description="An address may as much as so many of its users.",
    )
    unpaid_orders_max: int = Field(
        5,
        alias="MALL_UNPAID_ORDERS_MAX",
        ge=1,
        le=1000,
        description="Card orders of a customer that wait for their payment at once.",
    )
    held_pieces_max: int = Field(
        1000,
        alias="MALL_HELD_PIECES_MAX",
        ge=1,
        le=1_000_000,
        description="Pieces of limited stock that a customer holds at once: unpaid, or for cash and with no driver.",
    )
    low_stock: int = Field(
        0,
        alias="MALL_LOW_STOCK",
        ge=0,
        le=1_000_000_000,
        description="A stock that falls to it is low, where its product names no limit. 0: never.",
    )
    under_way_max: int = Field(
        10, alias="MALL_UNDER_WAY_MAX", ge=1, le=1000, description="Requests at once of a user."
    )
    in_flight_max: int = Field(
        5000,
        alias="MALL_IN_FLIGHT_MAX",
        ge=10,
        le=100_000,
        description="Requests at once of an instance; from half of it browsing is refused, orders last.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        (),
        alias="MALL_TRUSTED_PROXIES",
        description="Networks of your own proxies, by commas; their X-Forwarded-For is believed.",
    )
    cors_origins: tuple[str, ...] = Field(
        (),
        alias="MALL_CORS_ORIGINS",
        description="Origins of pages that may use the API and the feed besides our own, by commas, of any scheme: "
        "https://shop.example, capacitor://localhost. No wildcard.",
    )
    gateway_url: str | None = Field(
        None,
        alias="MALL_GATEWAY_URL",
        pattern=r"^(sandbox|https?://[^\s]{1,500})$",
        description="The payment gateway; `sandbox` moves no money and is what embedded mode has. Else absent: none.",
    )
    gateway_key: SecretStr = Field(
        SecretStr(""), alias="MALL_GATEWAY_KEY", description="What proves to the gateway who we are."
    )
    smtp_url: SecretStr | None = Field(
        None,
        alias="MALL_SMTP_URL",
        description="The mail server: smtp://user:password@host:587?tls=start (or tls=none), smtps://host; "
        "`sandbox` sends none, keeps them for :8081/mails, and is what embedded mode has. Else absent: none.",
    )
    mail_from: str = Field(
        "Mall Delivery <no-reply@mall.example>",
        alias="MALL_MAIL_FROM",
        pattern=r"^[^\r\n<>]{0,80}<[^@\s<>]{1,64}@[^@\s<>]{1,189}>$|^[^@\s<>]{1,64}@[^@\s<>]{1,189}$",
        description="Sender of mails.",
    )
    sms_url: str | None = Field(
        None,
        alias="MALL_SMS_URL",
        pattern=r"^(sandbox|https?://[^\s]{1,500})$",
        description="Where SMS are posted as JSON (to, text). `sandbox`, and absent: as for mails.",
    )
    sms_key: SecretStr = Field(
        SecretStr(""), alias="MALL_SMS_KEY", description="What proves to the sender of SMS who we are."
    )
    public_url: str | None = Field(
        None,
        alias="MALL_PUBLIC_URL",
        pattern=r"^https?://[^\s?#]{1,300}$",
        description="The customers' site, for links in mails: /orders/ord_1, /password-reset#token; "
        "and for share links, /t/#secret, which it passes on to this server. Absent: no links in mails.",
    )
    webhooks: Switch = Field(
        "on", alias="MALL_WEBHOOKS", description="Send events to the endpoints of webhooks."
    )
    webhook_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        alias="MALL_WEBHOOK_NETWORKS",
        description="Networks of receivers that you trust, by commas: also private ones, by http, at any port.",
    )
    egress_proxy: str | None = Field(
        None,
        alias="MALL_EGRESS_PROXY",
        pattern=r"^https?://[^\s]{1,500}$",
        description="Proxy through which webhooks are sent. It must refuse private addresses itself.",
    )
    secrets_key: SecretStr = Field(
        SecretStr(""),
        alias="MALL_SECRETS_KEY",
        description="Seals secrets of webhooks: 32 bytes in base64; older keys follow by commas. Embedded: a file.",
    )
    connections_per_ip: int = Field(
        1000,
        alias="MALL_CONNECTIONS_PER_IP",
        ge=0,
        description="Most open connections from one address, to each instance; 0: any number.",
    )
    uncounted_networks: tuple[IPv4Network | IPv6Network, ...] | None = Field(
        None,
        alias="MALL_UNCOUNTED_NETWORKS",
        description="Networks that may have any number: those of proxies. Absent: all private ones.",
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
    api_v1_brownouts: tuple[tuple[AwareDatetime, AwareDatetime], ...] = Field(
        (),
        alias="MALL_API_V1_BROWNOUTS",
        description="When version 1 is switched off on trial: begin/end, more of them after commas.",
    )
    work: Switch = Field(
        "on",
        alias="MALL_WORK",
        description="on: worker processes beside the instances do background jobs; off: only `run.py work` elsewhere.",
    )
    job_runs_days: int = Field(
        7, alias="MALL_JOB_RUNS_DAYS", ge=1, le=365, description="How long attempts of jobs are kept, days."
    )
    events_days: int = Field(
        30, alias="MALL_EVENTS_DAYS", ge=1, le=365, description="How long the event log goes back, days."
    )
    plan_steps_hours: int = Field(
        24,
        alias="MALL_PLAN_STEPS_HOURS",
        ge=0,
        le=720,
        description="How long inputs of the planner's steps are kept, to make decisions again, hours; 0: not at all.",
    )
    plan_steps_zone_mib: int = Field(
        64,
        alias="MALL_PLAN_STEPS_ZONE_MIB",
        ge=1,
        le=10_000,
        description="Most MiB of them of each zone; the oldest go first.",
    )
    pool_size: int = Field(
        10, alias="MALL_POOL_SIZE", ge=2, le=200, description="Most Postgres connections, lanes not counted."
    )
    delivery_radius_m: int = Field(
        30_000,
        alias="MALL_DELIVERY_RADIUS_M",
        ge=0,
        le=1_000_000,
        description="How far a new store delivers unless it says otherwise, metres; 0: anywhere.",
    )
    drain_s: float = Field(
        8.0, alias="MALL_DRAIN_S", ge=0, le=60, description="Over how long sockets are sent away at SIGTERM."
    )
    key_lead_s: float = Field(
        600.0,
        alias="MALL_KEY_LEAD_S",
        ge=5,
        le=86_400,
        description="How long a new signing key is published before it signs: twice what others keep keys.",
    )
    otlp_endpoint: str | None = Field(
        None,
        alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        pattern=r"^https?://[^\s?#]{1,500}$",
        description="Base URL of an OpenTelemetry collector (OTLP over HTTP, usually port 4318). Absent: no tracing.",
    )
    trace_share: float = Field(
        0.001,
        alias="MALL_TRACE_SHARE",
        ge=0,
        le=1,
        description="Share of all requests whose traces are recorded, 0 to 1; those that fail always have one span.",
    )
    loop: Literal["uvloop", "asyncio"] = Field("uvloop", alias="MALL_LOOP", description="Event loop.")
    fast_path: Switch = Field("on", alias="MALL_FAST_PATH", description="off: serve with stock aiohttp.")

    @field_validator("cors_origins", "trusted_proxies", "ops_names", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("uncounted_networks", "webhook_networks", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
        except ValueError as error:
            raise ValueError(f"must be networks such as 10.0.0.0/8, separated by commas ({error})") from None

    @field_validator("secrets_key")
    @classmethod
    def _whole_keys(cls, value: SecretStr) -> SecretStr:
        _keys_of(value.get_secret_value())
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

    @model_validator(mode="after")
    def _whole_peer_tls(self) -> Settings:
        given = [self.peer_tls_cert, self.peer_tls_key, self.peer_tls_ca]
        if any(given) and not all(given):
            raise ValueError("MALL_PEER_TLS_CERT, MALL_PEER_TLS_KEY and MALL_PEER_TLS_CA belong together")
        return self

    @field_validator("cors_origins")
    @classmethod
    def _explicit_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if re.fullmatch(_ORIGIN, origin) is None:
                raise ValueError(
                    f"{origin!r} is no origin such as https://shop.example or capacitor://localhost"
                )
        return value

    @field_validator("ops_names")
    @classmethod
    def _host_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?", name) is None:
                raise ValueError(f"{name!r} is no host name such as mall.internal")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ip_network(network, strict=False)
            except ValueError:
                raise ValueError(f"{network!r} is no network such as 10.0.0.0/8") from None
        return value

    @field_validator("smtp_url")
    @classmethod
    def _smtp(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and value.get_secret_value() != SANDBOX:
            read_smtp_url(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _sender_of_mails(self) -> Settings:
        sends = self.smtp_url is not None and self.smtp_url.get_secret_value() != SANDBOX
        if sends and "mail_from" not in self.model_fields_set:
            raise ValueError("MALL_MAIL_FROM is required with MALL_SMTP_URL")
        return self

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

    @field_validator("admin_password")
    @classmethod
    def _composed(cls, value: str | None) -> str | None:
        # Same normal form as at login, or the account would not be found.
        return None if value is None else unicodedata.normalize("NFC", value)

    @model_validator(mode="after")
    def _password_outside(self, info: ValidationInfo) -> Settings:
        if self.database_url is None:
            return self
        for name, url in (("DATABASE_URL", self.database_url), ("REDIS_URL", self.redis_url)):
            if url is not None and is_sample(unquote(urlsplit(url).password or "")):
                raise ValueError(f"{name} holds a sample in place of a password")
        if self.admin_password is None:
            if (info.context or {}).get("founds", True):
                raise ValueError("MALL_ADMIN_PASSWORD is required when DATABASE_URL is set")
            return self
        if is_sample(self.admin_password) or self.admin_password.lower() == self.admin_email.lower():
            raise ValueError("MALL_ADMIN_PASSWORD is a sample that everybody knows; think of another")
        if len(set(self.admin_password)) < DIFFERENT_MIN:
            raise ValueError("MALL_ADMIN_PASSWORD repeats a few characters; think of another")
        return self

    @property
    def sends_mail(self) -> bool:
        """True if mails are sent, or kept in the sandbox."""
        return self.smtp_url is not None or self.embedded

    @property
    def secrets_keys(self) -> tuple[bytes, ...]:
        """The keys of MALL_SECRETS_KEY, the newest first."""
        return _keys_of(self.secrets_key.get_secret_value())

    @property
    def embedded(self) -> bool:
        """True if the database is the embedded one."""
        return self.database_url is None

    @property
    def keeps_data(self) -> bool:
        """True if there is a data folder whose disk must not be full.

        An instance of several has a DATABASE_URL, and its data folder by name; so has one beside servers of its own.
        """
        return self.embedded or ("data_dir" in self.model_fields_set and self.data_dir.is_dir())


# The search for embedded servers' programs reads these itself, for tools without settings.
ELSEWHERE = {
    "MALL_POSTGRES_BIN": "Folder of initdb and postgres for the embedded Postgres. Absent: one is looked for.",
    "MALL_REDIS_SERVER": "Program for the embedded Redis. Absent: one is looked for.",
}


def load_settings(environ: Mapping[str, str] | None = None, *, founds: bool = True) -> Settings:
    """Read the settings. An empty variable counts as absent.

    Args:
        environ: the variables; by default those of the process.
        founds: the caller creates the first administrator, so its password is required.

    Raises:
        SettingsError: names each variable that is invalid or unknown.
    """
    given = {name.upper(): value for name, value in (os.environ if environ is None else environ).items()}
    known = [*(str(field.alias) for field in Settings.model_fields.values()), *ELSEWHERE]
    lines = [unknown_name(name, known) for name in given if name.startswith("MALL_") and name not in known]
    try:
        wanted = {k: v for k, v in given.items() if k in known and v != ""}
        settings = Settings.model_validate(wanted, context={"founds": founds})
    except ValidationError as error:
        for fault in error.errors():
            name = ".".join(str(part) for part in fault["loc"])
            message = fault["msg"].removeprefix("Value error, ")
            lines.append(f"{name}: {message}" if name else message)
        raise SettingsError("\n".join(lines)) from None
    if lines:
        raise SettingsError("\n".join(lines))
    return settings
