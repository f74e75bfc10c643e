"""Command that sets a user's password, for an operator who is locked out."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from collections.abc import Callable

from pydantic import TypeAdapter, ValidationError

from actors.clock import SystemRandomness
from api.auth.passwords import Passwords
from api.contract.fields import Password
from config.settings import Settings
from dispatch.accounts import Accounts
from dispatch.errors import AccountClosed
from storage.postgres.database import COMMAND_CONNECT_S, Database, open_database
from storage.servers import reach_servers

_PASSWORD: TypeAdapter[str] = TypeAdapter(Password)


class ResetError(Exception):
    """The account or the password is not acceptable."""


class _NoTokens:
    """Placeholder for an instance's tokens: this process accepts none, and instances read revocations anyway."""

    def cut_off(self, *, session: str | None = None, user: int | None = None) -> None:
        del session, user


async def set_password(database: Database, passwords: Passwords, email: str, password: str) -> None:
    """Set an account's password; all its sessions end, on running instances within half a second.

    Raises:
        ResetError: the account does not exist or is closed, or no login would accept the password.
    """
    try:
        password = _PASSWORD.validate_python(password)
    except ValidationError:
        raise ResetError("a password has 8 to 128 visible characters") from None
    accounts = Accounts(database, SystemRandomness(), _NoTokens())
    row = await accounts.by_address(email)
    if row is None:
        raise ResetError(f"there is no account {email}")
    encoded = await passwords.hash(password)
    try:
        await accounts.replace_password(row["id"], encoded)
    except AccountClosed:
        raise ResetError(f"the account {email} is {row['status']}") from None


def _asked() -> str:
    """Read the password, twice from a terminal, or as the first line of a pipe."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first, second = getpass.getpass("New password: "), getpass.getpass("Once more: ")
    if first != second:
        raise ResetError("the two are not the same")
    return first


def command_set_password(settings: Settings, options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Set the password of an account, with or without a running server; returns the exit code."""

    async def work(url: str, password: str) -> None:
        passwords = Passwords()
        try:
            async with open_database(url, size_max=1, connect_s=COMMAND_CONNECT_S) as database:
                await set_password(database, passwords, options.email, password)
        finally:
            passwords.close()

    try:
        password = _asked()
        with reach_servers(settings) as at:
            asyncio.run(work(at.database_url, password))
    except ResetError as error:
        say(f"Not set: {error}")
        return 1
    say(f"The password of {options.email} is set; its sessions have ended.")
    return 0
