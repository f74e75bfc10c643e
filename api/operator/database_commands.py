"""Commands on a database: migrate, mint, verify, restored; but for the last one the server may run."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable

from api.operator.mint import mint_at
from config.settings import Settings
from dispatch.audit_law import audit_law
from storage.postgres.audit import audit
from storage.postgres.migrate import migrate, wait_for
from storage.postgres.restoring import InUse, renew
from storage.servers import reach_servers

Say = Callable[[str], None]


def command_migrate(settings: Settings, say: Say) -> int:
    """Migrate the schema to this version."""
    with reach_servers(settings) as at:
        asyncio.run(wait_for(at.database_url, 0))
        say(f"at revision {asyncio.run(migrate(at.database_url))}")
    return 0


def command_mint(settings: Settings, options: argparse.Namespace, say: Say) -> int:
    """Print one minted user with a token per line."""
    with reach_servers(settings) as at:
        for user in asyncio.run(mint_at(at.database_url, options)):
            say(json.dumps(user))
    return 0


def command_verify(settings: Settings, options: argparse.Namespace, say: Say) -> int:
    """Audit the stored history, also beside a running server; 0 when it is consistent."""
    with reach_servers(settings) as at:
        report = asyncio.run(audit(at.database_url, audit_law(settings.job_runs_days)))
    say(report.text(as_json=options.json))
    return 0 if report.holds else 1


def command_restored(settings: Settings, say: Say) -> int:
    """Prepare a database that was restored from a backup; 1 when instances or workers are connected to it."""
    with reach_servers(settings) as at:
        try:
            revision = asyncio.run(migrate(at.database_url))
            done = asyncio.run(renew(at.database_url))
        except InUse as error:
            say(f"Not prepared: {error}")
            return 1
    say(
        f"at revision {revision}; feeds have the epoch {done.feed_epoch}; {done.sequences} sequences go on higher"
    )
    return 0
