"""What a database needs before the first request: a signing key, an administrator, perhaps a sample mall."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from actors.clock import Randomness
from actors.messages import ActorId
from actors.shards import SHARD_COUNT, shard_of
from actors.values import frozen
from api.auth.access_tokens import SigningKey, load_signing_key, make_signing_key
from api.auth.passwords import Passwords
from config.settings import Settings
from storage.email_addresses import normal_form
from storage.errors import Duplicate
from storage.postgres.database import Database

SHARD_FUNCTION = "crc32/kind:number"
CUSTOMER = ("customer@mall.example", "sample-customer")
DRIVER = ("driver@mall.example", "sample-driver")

# (store, lat, lon, preparation in seconds, products as (name, price in cents, stock))
SAMPLE_STORES: tuple[tuple[str, float, float, int, tuple[tuple[str, int, int | None], ...]], ...] = (
    ("Corner Bakery", 52.5200, 13.4050, 300, (("Sourdough bread", 450, 200), ("Cinnamon roll", 280, None))),
    ("Noodle House", 52.5203, 13.4056, 900, (("Ramen", 1290, None), ("Gyoza, six pieces", 690, 150))),
    ("Green Pharmacy", 52.5198, 13.4061, 120, (("Plasters", 390, 500), ("Vitamin C", 790, 80))),
)


class FirstRunError(Exception):
    """The database was made for another program, or by another plan."""


@frozen
class Meta:
    """What is fixed for the life of a database."""

    feed_epoch: str
    peer_secret: bytes

    @property
    def cluster(self) -> str:
        """A name for all instances of this database; says nothing about the secret."""
        return sha256(b"cluster" + self.peer_secret).hexdigest()[:12]


async def check_meta(database: Database) -> Meta:
    """Compare what was fixed when the database was created with what this program does.

    Raises:
        FirstRunError: another number of shards or another shard function.
    """
    row = await database.row("cluster_meta")
    if row["shards"] != SHARD_COUNT or row["shard_fn"] != SHARD_FUNCTION:
        raise FirstRunError(
            f"this database has {row['shards']} shards by {row['shard_fn']}; "
            f"this program works with {SHARD_COUNT} by {SHARD_FUNCTION}"
        )
    return Meta(row["feed_epoch"], row["peer_secret"].encode())


async def load_keys(database: Database) -> list[SigningKey]:
    """The cluster's signing keys that verify, the newest first; the first instance ever makes one."""
    rows = await database.rows("signing_keys")
    if not rows:
        async with database.transaction() as transaction:
            await transaction.rows("signing_keys_lock")
            await transaction.rows("signing_key_insert", *make_signing_key())
        rows = await database.rows("signing_keys")
    return [load_signing_key(row["kid"], row["private_pem"], row["signs_at"]) for row in rows]


async def ensure_admin(
    database: Database, passwords: Passwords, entropy: Randomness, email: str, password: str | None
) -> str | None:
    """Create the first administrator if there is none; returns a generated password, to be shown once."""
    if await database.value("admin_exists"):
        return None
    chosen = password or entropy.token()[:20]
    try:
        await database.rows(
            "user_insert", email, await passwords.hash(chosen), "admin", "Administrator", normal_form(email)
        )
    except Duplicate:
        return None
    return None if password else chosen


async def ensure_sample(database: Database, passwords: Passwords, radius_m: int | None) -> bool:
    """A small mall in an empty database; True when it was made now."""
    if await database.value("zone_exists"):
        return False
    customer = await passwords.hash(CUSTOMER[1])
    driver = await passwords.hash(DRIVER[1])
    async with database.transaction() as transaction:
        zone = await transaction.row(
            "zone_insert", "Sample Mall", "waves", 3, 30, None, 50_000, 600, 3600, None
        )
        for name, lat, lon, preparation_s, products in SAMPLE_STORES:
            store = await transaction.row("store_insert", zone["id"], name, lat, lon, preparation_s, radius_m)
            for product, price, stock in products:
                await transaction.rows("product_insert", store["id"], product, price, "EUR", stock)
        await transaction.rows(
            "user_insert", CUSTOMER[0], customer, "customer", "Sample Customer", normal_form(CUSTOMER[0])
        )
        user = await transaction.row(
            "user_insert", DRIVER[0], driver, "driver", "Sample Driver", normal_form(DRIVER[0])
        )
        await transaction.rows("create_drivers", [driver_item(user["id"], zone["id"], 2)])
    return True


def driver_item(number: int, zone: int, capacity: int) -> dict[str, Any]:
    """What create_drivers() takes."""
    return {
        "id": number, "shard": shard_of(ActorId("driver", number)), "zone": zone, "capacity": capacity,
    }  # fmt: skip


async def found(
    settings: Settings, database: Database, passwords: Passwords, entropy: Randomness
) -> list[str]:
    """Administrator and sample mall, where they are missing; returns what the operator should read."""
    lines = []
    generated = await ensure_admin(
        database, passwords, entropy, settings.admin_email, settings.admin_password
    )
    if generated:
        lines.append(f"  admin     {settings.admin_email}  password {generated}  (shown this once)")
    else:
        lines.append(f"  admin     {settings.admin_email}")
    if settings.embedded and settings.sample == "on":
        await ensure_sample(database, passwords, settings.delivery_radius_m or None)
        lines.append("  customer  {}  password {}".format(*CUSTOMER))
        lines.append("  driver    {}  password {}".format(*DRIVER))
    return lines
