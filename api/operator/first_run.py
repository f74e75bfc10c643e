"""First run: signing key, administrator and sample mall of a new database."""

from __future__ import annotations

from hashlib import sha256

from actors.clock import Randomness
from actors.shards import SHARD_COUNT
from actors.values import frozen
from api.auth.access_tokens import SigningKey, load_signing_key, make_signing_key
from api.auth.passwords import Passwords
from config.errors import CannotStart
from config.settings import Settings
from dispatch.credentials import Credentials
from dispatch.errors import EmailTaken
from dispatch.provisioning import FirstUser, Provisioning, SampleStore
from storage.postgres.database import Database

SHARD_FUNCTION = "crc32/kind:number"
CUSTOMER = ("customer@mall.example", "sample-customer")
DRIVER = ("driver@mall.example", "sample-driver")

SAMPLE_STORES: tuple[SampleStore, ...] = (
    ("Corner Bakery", 52.5200, 13.4050, 300, (("Sourdough bread", 450, 200), ("Cinnamon roll", 280, None))),
    ("Noodle House", 52.5203, 13.4056, 900, (("Ramen", 1290, None), ("Gyoza, six pieces", 690, 150))),
    ("Green Pharmacy", 52.5198, 13.4061, 120, (("Plasters", 390, 500), ("Vitamin C", 790, 80))),
)


class FirstRunError(CannotStart):
    """The database belongs to another program, or has other shards."""


@frozen
class Meta:
    """Facts that are fixed for the life of a database."""

    feed_epoch: str
    peer_secret: bytes

    @property
    def cluster(self) -> str:
        """A name for all instances of this database; it reveals nothing of the secret."""
        return sha256(b"cluster" + self.peer_secret).hexdigest()[:12]


async def check_meta(database: Database) -> Meta:
    """Compare the facts that were fixed when the database was created with those of this program.

    Raises:
        FirstRunError: another number of shards or another shard function.
    """
    row = await Provisioning(database).meta()
    if row["shards"] != SHARD_COUNT or row["shard_fn"] != SHARD_FUNCTION:
        raise FirstRunError(
            f"this database has {row['shards']} shards by {row['shard_fn']}; "
            f"this program works with {SHARD_COUNT} by {SHARD_FUNCTION}"
        )
    return Meta(row["feed_epoch"], row["peer_secret"].encode())


async def load_keys(credentials: Credentials) -> list[SigningKey]:
    """The cluster's signing keys that verify, newest first; the first instance makes one."""
    rows = await credentials.signing_keys(make_signing_key)
    return [load_signing_key(row["kid"], row["private_pem"], row["signs_at"]) for row in rows]


async def ensure_admin(
    database: Database, passwords: Passwords, entropy: Randomness, email: str, password: str | None
) -> str | None:
    """Create the first administrator if there is none; returns a generated password, to be shown once."""
    provisioning = Provisioning(database)
    if await provisioning.has_admin():
        return None
    chosen = password or entropy.token()[:20]
    try:
        await provisioning.add_admin(FirstUser(email, await passwords.hash(chosen), "Administrator"))
    except EmailTaken:
        return None
    return None if password else chosen


async def ensure_sample(database: Database, passwords: Passwords, radius_m: int | None) -> bool:
    """Create a small mall in an empty database; True when it was created now."""
    provisioning = Provisioning(database)
    if await provisioning.has_zone():
        return False
    customer = FirstUser(CUSTOMER[0], await passwords.hash(CUSTOMER[1]), "Sample Customer")
    driver = FirstUser(DRIVER[0], await passwords.hash(DRIVER[1]), "Sample Driver")
    await provisioning.add_sample("Sample Mall", SAMPLE_STORES, radius_m, customer, driver)
    return True


async def found(
    settings: Settings, database: Database, passwords: Passwords, entropy: Randomness
) -> list[str]:
    """Create administrator and sample mall, where they are missing; returns the text for the operator."""
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
