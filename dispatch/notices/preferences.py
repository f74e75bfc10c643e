"""How users and stores are reached, and which notices users want."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actors.values import frozen
from dispatch.accounts import find_user
from dispatch.errors import NoSuchUser
from dispatch.notices.kinds import Channel, kinds_for
from dispatch.ports import QueryPool, Row


@frozen
class NoticeChoice:
    """Whether a user wants a kind of notice on a channel. `usual`: what holds without a choice."""

    type: str
    channel: Channel
    wanted: bool
    usual: bool


class Contacts:
    """Profiles and preferences of users, contacts of stores."""

    def __init__(self, database: QueryPool) -> None:
        self._database = database

    async def profile(self, number: int) -> Row:
        """A user's row.

        Raises:
            NoSuchUser: there is none, or it was deleted.
        """
        return await find_user(self._database, number)

    async def change_profile(self, number: int, changes: Mapping[str, Any]) -> Row:
        """Change the given fields: phone, locale, time_zone, quiet_hours (two local times, or None).

        Raises:
            NoSuchUser: there is none, or it was deleted.
        """
        quiet = changes.get("quiet_hours") or (None, None)
        args = changes.get("phone"), changes.get("locale"), changes.get("time_zone"), quiet[0]
        sets = "phone" in changes, "quiet_hours" in changes
        if await self._database.row("user_profile_update", number, *args, *sets, quiet[1]) is None:
            raise NoSuchUser
        return await self.profile(number)

    async def choices(self, number: int) -> list[NoticeChoice]:
        """All choices that the user has, by the role.

        Raises:
            NoSuchUser: there is none, or it was deleted.
        """
        user = await self.profile(number)
        rows = await self._database.rows("notice_preferences", number)
        made = {(row["type"], row["channel"]): row["wanted"] for row in rows}
        return [
            NoticeChoice(
                kind.type,
                channel,
                made.get((kind.type, channel), channel in kind.usual),
                channel in kind.usual,
            )
            for kind in kinds_for(user["role"])
            for channel in kind.channels
        ]

    async def choose(self, number: int, choices: Sequence[tuple[str, str, bool]]) -> list[NoticeChoice]:
        """Replace the user's choices by these: type, channel, wanted. All others are as usual.

        Raises:
            NoSuchUser: there is none, or it was deleted.
        """
        await self.profile(number)
        items = [{"type": type_, "channel": channel, "wanted": wanted} for type_, channel, wanted in choices]
        await self._database.rows("notice_preferences_set", number, items)
        return await self.choices(number)

    async def store_contact(self, number: int) -> Row | None:
        """How a store is reached, or None if there is no such store."""
        row: Row | None = await self._database.row("store_contact", number)
        return row

    async def set_store_contact(
        self, number: int, email: str | None, phone: str | None, locale: str
    ) -> Row | None:
        """Set how a store is reached; None if there is no such store."""
        row: Row | None = await self._database.row("store_contact_set", number, email, phone, locale)
        return row
