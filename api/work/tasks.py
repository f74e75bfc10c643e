"""The table of all tasks and schedules of a worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.outbound.opening import notice_tasks
from api.work.work_services import WorkServices
from dispatch.jobs.cleanup import Cleanup
from dispatch.jobs.schedules import Schedule
from dispatch.jobs.tasks import Task
from dispatch.notices.tasks import DIGEST_TASK
from dispatch.reports.tasks import Reports


def all_tasks(services: WorkServices) -> tuple[Sequence[Task[Any]], Sequence[Schedule]]:
    """All tasks and schedules.

    Raises:
        ValueError: two tasks have one name, or a schedule names no task.
    """
    settings = services.settings
    cleanup = Cleanup(
        services.database,
        run_days=settings.job_runs_days,
        event_days=settings.events_days,
        step_hours=settings.plan_steps_hours,
        step_zone_mib=settings.plan_steps_zone_mib,
    )
    notices, of_notices = notice_tasks(
        settings, services.database, services.clock, services.entropy, services.mail, services.sms
    )
    tasks = [*cleanup.tasks(), *notices]
    schedules = [*cleanup.schedules(), *of_notices]
    reports = Reports(services.database, services.clock, DIGEST_TASK)
    tasks += reports.tasks()
    schedules += reports.schedules()
    names = [task.name for task in tasks]
    if len(set(names)) < len(names):
        raise ValueError(f"two tasks have one name: {sorted(names)}")
    if unknown := {schedule.task for schedule in schedules}.difference(names):
        raise ValueError(f"schedules of no task: {sorted(unknown)}")
    return tasks, schedules
