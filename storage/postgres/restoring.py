"""What a restored database needs before it is served: nothing that was given out after the backup may be given again.

Clients, the payment gateway and other systems remember what the lost part of the history told them. So the feeds get
another epoch, numbers of rows and places of the event log go on far above the lost ones, and a new secret separates
instances, leases and caches of the time before.
"""

from __future__ import annotations

import asyncpg

from actors.values import frozen
from storage.postgres.database import CONNECT_S
from storage.postgres.migrate import MigrationError
from storage.postgres.queries import BLOCKS

# More than any mall adds between two backups, and little of 63 bits.
SKIPPED = 10_000_000


class InUse(Exception):
    """Instances or workers are connected to the database."""


@frozen
class Renewed:
    """What the database has got.

    Attributes:
        feed_epoch: the new epoch of all feeds.
        sequences: how many sequences go on above the lost numbers.
    """

    feed_epoch: str
    sequences: int


async def renew(database_url: str) -> Renewed:
    """Prepare a restored database, in one transaction. Only its owner may do so.

    Raises:
        InUse: somebody works on it.
        MigrationError: Postgres refuses.
        OSError: it cannot be reached.
    """
    connection = await asyncpg.connect(
        database_url, timeout=CONNECT_S, server_settings={"application_name": "mall restored"}
    )
    try:
        async with connection.transaction():
            users = await connection.fetchval(BLOCKS["connected_programs"])
            if users:
                raise InUse(f"{users} connections of instances or workers are open; stop them first")
            epoch = await connection.fetchval(BLOCKS["renew_cluster"])
            while await connection.fetchval(BLOCKS["mark_days_of_log"]):
                pass
            await connection.execute(BLOCKS["empty_log"])
            await connection.execute(BLOCKS["skip_places"], SKIPPED)
            sequences = await connection.fetchval(BLOCKS["skip_numbers"], SKIPPED)
        return Renewed(epoch, sequences)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"Postgres refuses: {error}") from error
    finally:
        await connection.close()
