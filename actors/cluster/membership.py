"""Who takes part: the members of the last ticks, less sudden disappearances that were not confirmed.

A member whose record is missing from one tick may have been slow, or the store may have lost its memory; its
shards stay its own until a second tick agrees. A store without memory (a new generation, or nobody left but
us) is believed only after a whole lease. Who said goodbye, or was found dead by its line, is gone at once.
"""

from __future__ import annotations

from actors.cluster.leases import ACTIVE, DRAINING, LEASE_S, Member, Tick

AGREEING_TICKS = 2


class Membership:
    """The view of one instance."""

    def __init__(self, me: str) -> None:
        self._me = me
        self._known: dict[str, Member] = {}
        self._missed: dict[str, int] = {}
        self._missed_since: dict[str, float] = {}
        self._dead: set[str] = set()
        self._gen = ""
        self._gen_since = 0.0

    def learn(self, tick: Tick) -> None:
        """Take a tick over."""
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
        """This member is gone. `certain`: the store has removed it, an older tick may still show it."""
        self._known.pop(incarnation, None)
        self._missed.pop(incarnation, None)
        self._missed_since.pop(incarnation, None)
        if certain:
            self._dead.add(incarnation)

    def update(self, member: Member) -> None:
        """What a member says of itself. Nobody comes back from draining: an older record is ignored."""
        known = self._known.get(member.incarnation)
        if known is None or known.state != DRAINING:
            self._known[member.incarnation] = member

    @property
    def in_doubt(self) -> bool:
        """True while somebody is missing and not yet believed to be gone."""
        return bool(self._missed)

    @property
    def members(self) -> list[Member]:
        """Everybody, by name."""
        return sorted(self._known.values(), key=lambda m: (m.instance, m.incarnation))

    @property
    def active(self) -> dict[str, Member]:
        """Those that serve shards, by stable name; of two lives of one the one seen last."""
        return {m.instance: m for m in self._known.values() if m.state == ACTIVE}

    def of(self, incarnation: str) -> Member | None:
        """The member of this incarnation, if it is one."""
        return self._known.get(incarnation)
