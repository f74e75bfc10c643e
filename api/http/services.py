"""Services: the shared objects of an instance that handlers, sessions and background tasks use."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from aiohttp import web

from actors.clock import Clock, Randomness
from actors.cluster.node import Cluster
from api.auth.access_tokens import Tokens
from api.auth.passwords import Passwords
from api.auth.stream_tickets import StreamTickets
from api.contract.cursors import Cursors
from api.http.command_executor import CommandExecutor
from api.http.order_answers import OrderAnswers
from api.ratelimit.admission import AdmissionControl
from api.subscriptions.hub import Hub
from api.tracing.sampling import Sampling
from config.settings import Settings
from dispatch.accounts import Accounts
from dispatch.catalogue import Catalogue
from dispatch.credentials import Credentials
from dispatch.decision_replay import DecisionReplays
from dispatch.jobs.announcer import Announcer
from dispatch.jobs.control import JobControl
from dispatch.notices.preferences import Contacts
from dispatch.notices.resets import ResetRequests
from dispatch.notices.sandbox import SandboxMessages
from dispatch.order_shares import OrderShares
from dispatch.payments import Payments
from dispatch.records import Records
from dispatch.reports.daily import DailyReports
from dispatch.service import Dispatch
from dispatch.sessions import Sessions
from dispatch.step_log import StepLog
from dispatch.users import Users
from dispatch.webhooks.administration import Seal, Webhooks
from storage.catalogue import CatalogueCache
from storage.health import Check, Prober, look_at_disk, look_at_leases
from storage.postgres.database import Database
from storage.redis.client import Client, ping
from storage.redis.limits import RateLimits
from storage.redis.tickets import Tickets


class WorkerProcess(Protocol):
    """The worker process beside an instance."""

    @property
    def ops_url(self) -> str | None:
        """Address of its ops port; None while it does not run."""
        ...

    def stop(self) -> None:
        """Ask it to end."""
        ...


@dataclass
class Services:
    """Shared objects of one instance, made once at start."""

    settings: Settings
    database: Database
    redis: Client
    dispatch: Dispatch
    tokens: Tokens
    passwords: Passwords
    tickets: Tickets
    limits: RateLimits
    hub: Hub
    clock: Clock
    entropy: Randomness
    cluster: Cluster
    cursors: Cursors
    # Set after shards were taken over: their zones must be started.
    zones_due: asyncio.Event
    cached: CatalogueCache = field(kw_only=True)
    # Services over the database, made from the fields above.
    accounts: Accounts = field(init=False)
    users: Users = field(init=False)
    sessions: Sessions = field(init=False)
    catalogue: Catalogue = field(init=False)
    records: Records = field(init=False)
    jobs: JobControl = field(init=False)
    daily_reports: DailyReports = field(init=False)
    credentials: Credentials = field(init=False)
    contacts: Contacts = field(init=False)
    reset_requests: ResetRequests = field(init=False)
    sandbox: SandboxMessages = field(init=False)
    replays: DecisionReplays = field(init=False)
    webhooks: Webhooks = field(init=False)
    # None while tracing is off.
    sampling: Sampling | None = None
    stream_tickets: StreamTickets = field(kw_only=True)
    shown: OrderAnswers = field(kw_only=True)
    announcer: Announcer = field(kw_only=True)
    # The worker process beside this instance; None where another process keeps workers, or none.
    worker: WorkerProcess | None = None
    # Actors in memory by kind, as of the last scrape.
    residents: Counter[str] = field(default_factory=Counter)
    draining: bool = False
    started: bool = False
    prober: Prober = field(init=False)
    # None where the inputs of the planner's steps are not kept.
    step_log: StepLog | None = None
    # None without a configured payment gateway.
    payments: Payments | None = None
    # None without a key: then no endpoint of webhooks can be made.
    sealing: Seal | None = None
    watchdog: Callable[[], float] = field(default=lambda: 0.0)
    # When the loop was last found late, by the monotonic clock.
    late_at: float = float("-inf")
    # Bound once: structlog's lazy logger binds again for every log line.
    log: Any = field(default_factory=lambda: structlog.get_logger().bind())
    admission: AdmissionControl = field(init=False)
    commands: CommandExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.accounts = Accounts(self.database, self.entropy, self.tokens)
        self.users = Users(self.database, self.dispatch, self.tokens)
        self.sessions = Sessions(self.database, self.entropy, self.tokens)
        self.catalogue = Catalogue(self.database, self.cached, self.dispatch, self.settings.low_stock)
        self.records = Records(self.database)
        self.order_shares = OrderShares(self.database, self.entropy)
        self.jobs = JobControl(self.database)
        self.daily_reports = DailyReports(self.database)
        self.credentials = Credentials(self.database)
        self.contacts = Contacts(self.database)
        self.reset_requests = ResetRequests(self.database)
        self.sandbox = SandboxMessages(self.database)
        self.replays = DecisionReplays(self.database)
        self.webhooks = Webhooks(self.database, self.sealing)
        checks: dict[str, Check] = {
            "postgres": self.database.ping,
            "redis": self._look_at_redis,
        }
        if self.settings.keeps_data:
            checks["disk"] = lambda: look_at_disk(self.settings.data_dir)
        self.prober = Prober(checks, self.clock)
        self.admission = AdmissionControl(self.settings, self.limits, self.records)
        self.commands = CommandExecutor(self.dispatch, self.admission)

    async def _look_at_redis(self) -> None:
        """Check that Redis answers, and that leases can be renewed."""
        await ping(self.redis)
        look_at_leases(self.cluster.reconciler)


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
# Set in the operators' application.
INTERNAL: web.AppKey[bool] = web.AppKey("internal", bool)
