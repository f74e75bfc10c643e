"""What people try who have proved nothing yet: logins, registrations, refreshes.

Failures count for the network that they come from; whoever succeeds takes his attempt back, and counts for his
account. So a mall's wireless network, with a thousand phones behind one address, is a good address: it may fail once
more a minute for each account that has logged in from there. An attempt counts from its beginning, so that many at
once cannot pass for few. Of version 6 the networks around it count, too: whoever has a /48 has 65,536 addresses that
look like customers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from actors.clock import Clock
from api.ratelimit.client_address import networks_around
from storage.redis.limits import Allowance, Claim, Policy

# Accounts of a network that are counted, and for how long that is believed.
ACCOUNTS_MAX = 100
BELIEVED_S = 60.0
NETWORKS_MAX = 10_000
# How many times as much the networks around a /64 may fail, by the length of their prefix.
AROUND = {56: 4, 48: 16}
# Attempts of a network at all, whatever came of them, for each failure that it may have: counted by each instance.
TRIES = 20
# Networks that the database is asked about at once.
ASKING_MAX = 2
# While attempts of the same network are being looked at, one of them may be taken back any moment: others come back
# this soon, and each so much later than the one before, about as fast as passwords can be looked at. All at the same
# moment would be refused again, but for a few.
SOON_S = 1.0
TURN_S = 0.05
# No turn is later than an attempt counts.
TURNS_S = 60.0


class LoginAttempts:
    """What one instance knows of networks: how many accounts have logged in from each, and what is being tried."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[str, tuple[int, float]] = {}
        self._pending: dict[str, int] = {}
        # The last turn that was promised to somebody of each network.
        self._turns: dict[str, float] = {}
        self.asking = asyncio.Semaphore(ASKING_MAX)

    def claims(self, policy: Policy, network: str) -> tuple[Claim, ...]:
        """What an attempt counts under."""
        limit = policy.limit + (self.accounts(network) or 0)
        around = networks_around(network, tuple(AROUND))
        return (
            (replace(policy, limit=limit), network),
            *(
                (replace(policy, name=f"{policy.name}-{prefix}", limit=limit * AROUND[prefix]), wider)
                for prefix, wider in around.items()
            ),
        )

    def tries(self, policy: Policy, network: str) -> Policy:
        """The bound on attempts that were taken back."""
        limit = policy.limit + (self.accounts(network) or 0)
        return Policy(f"{policy.name}-tries", TRIES * limit, policy.window_s, shared=False)

    def accounts(self, network: str) -> int | None:
        """How many accounts have logged in from there lately; None when that is to be looked up."""
        found = self._accounts.get(network)
        return None if found is None or found[1] < self._clock.monotonic() else found[0]

    def learn(self, network: str, accounts: int) -> None:
        """So many accounts have logged in from there, as the database says."""
        self._accounts.pop(network, None)
        while len(self._accounts) >= NETWORKS_MAX:
            del self._accounts[next(iter(self._accounts))]
        self._accounts[network] = min(accounts, ACCOUNTS_MAX), self._clock.monotonic() + BELIEVED_S

    def welcome(self, network: str) -> None:
        """One more account has just logged in from there."""
        found = self._accounts.get(network)
        if found is not None:
            self._accounts[network] = min(found[0] + 1, ACCOUNTS_MAX), found[1]

    @contextmanager
    def trying(self, network: str) -> Iterator[None]:
        """An attempt of this network is being looked at inside the block."""
        self._pending[network] = self._pending.get(network, 0) + 1
        try:
            yield
        finally:
            left = self._pending.pop(network) - 1
            if left:
                self._pending[network] = left

    def hasten(self, allowance: Allowance, network: str) -> None:
        """Have somebody who was refused come back in turn when others of his network are being looked at."""
        if not allowance.allowed and network in self._pending:
            allowance.wait_s = min(allowance.wait_s, self.turn_s(network))

    def turn_s(self, network: str) -> float:
        """In how many seconds somebody who could not be looked at may come back; the next one's turn is later."""
        now = self._clock.monotonic()
        turn = max(now + SOON_S, self._turns.pop(network, 0.0) + TURN_S)
        while len(self._turns) >= NETWORKS_MAX:
            del self._turns[next(iter(self._turns))]
        self._turns[network] = turn = min(turn, now + TURNS_S)
        return turn - now
