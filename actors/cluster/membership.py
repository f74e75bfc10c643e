"""Membership: the members of the last ticks. A sudden disappearance counts only when it is confirmed.

A member whose record is missing from one tick may have been slow, or the store may have lost its data. It keeps its
shards until a second tick confirms it. A store without data (a new generation, or no other member left) counts only
after a whole lease. A member that drains, or that the failure detector found dead, is removed at once.
"""

from __future__ import annotations

from actors.cluster.leases import ACTIVE, DRAINING, LEASE_S, Member, Tick

AGREEING_TICKS = 2


class Membership:
    """Members as one instance sees them."""

    def __init__(self, me: str) -> None:
        self._me = me
        self._known: dict[str, Member] = {}
        self._missed: dict[str, int] = {}
        self._missed_since: dict[str, float] = {}
        self._dead: set[str] = set()
        self._gen = ""
        self._gen_since = 0.0

    def learn(self, tick: Tick) -> None:
        """Take in the result of a tick."""
        if tick.gen != self._gen:
            self._gen, self._gen_since = tick.gen, tick.sent_at
        seen = {m.incarnation: m for m in tick.members if m.incarnation not in self._dead}
        alone = set(seen) <= {self._me}
        for incarnation in [i for i in self._known if i not in seen]:
            missed = self._missed[incarnation] = self._missed.get(incarnation, 0) + 1
            since = self._missed_since.setdefault(incarnation, tick.sent_at)
            replaced = any(m.instance == self._known[incarnation].instance for m in seen.values())
            long_enough = missed >= AGREEING_TICKS and not (
                (alone or tick.young) and tick.sent_at - max(since, self._gen_since) < LEASE_S
            )
            if replaced or long_enough or self._known[incarnation].state == DRAINING:
                self.defer_close(incarnation)
        for incarnation, member in seen.items():
            self.update(member)
            self._missed.pop(incarnation, None)
            self._missed_since.pop(incarnation, None)
        self._dead &= {m.incarnation for m in tick.members}

    def defer_close(self, incarnation: str, *, certain: bool = False) -> None:
        """Remove a member that is gone. `certain`: the store has removed it, though an older tick may show it."""
        self._known.pop(incarnation, None)
        self._missed.pop(incarnation, None)
        self._missed_since.pop(incarnation, None)
        if certain:
            self._dead.add(incarnation)

    def update(self, member: Member) -> None:
        """Take in a member's own record. A draining member does not become active again: older records are ignored."""
        known = self._known.get(member.incarnation)
        if known is None or known.state != DRAINING:
            self._known[member.incarnation] = member

    @property
    def in_doubt(self) -> bool:
        """True while a member is missing and not yet considered gone."""
        return bool(self._missed)

    @property
    def members(self) -> list[Member]:
        """All members, by name."""
        return sorted(self._known.values(), key=lambda m: (m.instance, m.incarnation))

    @property
    def active(self) -> dict[str, Member]:
        """Members that serve shards, by stable name; of two lives of one instance, the one seen last."""
        return {m.instance: m for m in self._known.values() if m.state == ACTIVE}

    def of(self, incarnation: str) -> Member | None:
        """The member with this incarnation, or None."""
        return self._known.get(incarnation)
