"""Opens the senders that the settings name, and the tasks that use them.

A sender is a real one, the sandbox in embedded mode, or none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from actors.clock import Clock, Randomness
from api.outbound.mail import SmtpMail
from api.outbound.rendering import Templates
from api.outbound.sms import open_http_sms
from config.settings import SANDBOX, Settings
from config.smtp_address import read_smtp_url
from dispatch.jobs.schedules import Schedule
from dispatch.jobs.tasks import Task
from dispatch.notices.delivery import NoticeDelivery
from dispatch.notices.kinds import CHANNELS, MAIL, SMS, Channel
from dispatch.notices.ports import Mail, Sms
from dispatch.notices.resets import ResetMails
from dispatch.notices.sandbox import SandboxMail, SandboxMessages, SandboxSms
from dispatch.notices.tasks import DEAD_JOBS_EVERY_S, NoticeTasks
from dispatch.notices.wanted import WantedNotices
from dispatch.ports import QueryPool

# Old notices go once a day.
SCHEDULES = (
    Schedule("trim_notices", "trim_notices", daily_at="03:40"),
    Schedule("tell_dead_jobs", "tell_dead_jobs", every_s=DEAD_JOBS_EVERY_S),
)


def open_mail(settings: Settings, database: QueryPool, clock: Clock) -> Mail | None:
    """The sender of mail; None where there is none."""
    given = None if settings.smtp_url is None else settings.smtp_url.get_secret_value()
    address = given or (SANDBOX if settings.embedded else None)
    if address is None:
        return None
    if address == SANDBOX:
        return SandboxMail(SandboxMessages(database))
    return SmtpMail(read_smtp_url(address), settings.mail_from, clock.wall)


@asynccontextmanager
async def open_sms(settings: Settings, database: QueryPool) -> AsyncIterator[Sms | None]:
    """Open the sender of SMS; None where there is none."""
    address = settings.sms_url or (SANDBOX if settings.embedded else None)
    if address is None:
        yield None
    elif address == SANDBOX:
        yield SandboxSms(SandboxMessages(database))
    else:
        async with open_http_sms(address, settings.sms_key.get_secret_value()) as sms:
            yield sms


def notice_tasks(
    settings: Settings,
    database: QueryPool,
    clock: Clock,
    entropy: Randomness,
    mail: Mail | None,
    sms: Sms | None,
) -> tuple[Sequence[Task[Any]], Sequence[Schedule]]:
    """Tasks and schedules of notices, with these senders."""
    letters = Templates()
    public_url = None if settings.public_url is None else settings.public_url.rstrip("/")
    senders: dict[Channel, object | None] = {MAIL: mail, SMS: sms}
    available = tuple(channel for channel in CHANNELS if senders[channel] is not None)
    tasks = NoticeTasks(
        database,
        WantedNotices(database, available),
        NoticeDelivery(database, letters, mail, sms, clock, public_url),
        ResetMails(database, entropy, letters, mail, public_url),
    )
    return tasks.all(), SCHEDULES
