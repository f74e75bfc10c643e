"""Login attempts: counts of logins, registrations and refreshes by unauthenticated clients, per network.

Failures count for the client's network. A success is uncounted, and raises the limit of its network: a mall's wireless
network, with a thousand phones behind one address, may fail once more a minute for each account that has logged in
from it. An attempt counts from its beginning, so that parallel attempts cannot exceed the limit. For version 6 the
wider networks count, too: a /48 holds 65,536 networks that look like customers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from actors.clock import Clock
from api.ratelimit.client_address import networks_around
from storage.redis.limits import Allowance, Claim, Policy

# Limit of counted accounts per network, and how long the database's count is used.
ACCOUNTS_MAX = 100
BELIEVED_S = 60.0
NETWORKS_MAX = 10_000
# Limit of the wider networks, as a multiple of a /64's, by prefix length.
AROUND = {56: 4, 48: 16}
# Limit of all attempts of a network, successful ones included, as a multiple of its failures; per instance.
TRIES = 20
# Networks that are looked up in the database at once.
ASKING_MAX = 2
# While attempts of a network are being verified, any of them may be uncounted soon. So a refused client may come
# back after this time, and each further one later by the time that a password takes. If all came back at once,
# nearly all would be refused again.
SOON_S = 1.0
TURN_S = 0.05
# The latest turn: an attempt counts no longer than this.
TURNS_S = 60.0


class LoginAttempts:
    """Login attempts of networks on one instance: accounts that have logged in from each, and attempts in progress."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[str, tuple[int, float]] = {}
        self._pending: dict[str, int] = {}
        # The last turn that was given to a client of each network.
        self._turns: dict[str, float] = {}
        self.asking = asyncio.Semaphore(ASKING_MAX)

    def claims(self, policy: Policy, network: str) -> tuple[Claim, ...]:
        """The counters of an attempt, with their limits."""
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
        """Limit of the attempts of a network, uncounted ones included."""
        limit = policy.limit + (self.accounts(network) or 0)
        return Policy(f"{policy.name}-tries", TRIES * limit, policy.window_s, shared=False)

    def accounts(self, network: str) -> int | None:
        """Number of accounts that have logged in from the network lately; None when the database must be queried."""
        found = self._accounts.get(network)
        return None if found is None or found[1] < self._clock.monotonic() else found[0]

    def learn(self, network: str, accounts: int) -> None:
        """Store the database's number of accounts that have logged in from the network."""
        self._accounts.pop(network, None)
        while len(self._accounts) >= NETWORKS_MAX:
            del self._accounts[next(iter(self._accounts))]
        self._accounts[network] = min(accounts, ACCOUNTS_MAX), self._clock.monotonic() + BELIEVED_S

    def welcome(self, network: str) -> None:
        """Count one more account that has logged in from the network."""
        found = self._accounts.get(network)
        if found is not None:
            self._accounts[network] = min(found[0] + 1, ACCOUNTS_MAX), found[1]

    @contextmanager
    def trying(self, network: str) -> Iterator[None]:
        """A context in which an attempt of this network is being verified."""
        self._pending[network] = self._pending.get(network, 0) + 1
        try:
            yield
        finally:
            left = self._pending.pop(network) - 1
            if left:
                self._pending[network] = left

    def hasten(self, allowance: Allowance, network: str) -> None:
        """Shorten the wait of a refused client to its turn, while attempts of its network are being verified."""
        if not allowance.allowed and network in self._pending:
            allowance.wait_s = min(allowance.wait_s, self.turn_s(network))

    def turn_s(self, network: str) -> float:
        """Seconds until a refused client may come back; each call returns a later turn."""
        now = self._clock.monotonic()
        turn = max(now + SOON_S, self._turns.pop(network, 0.0) + TURN_S)
        while len(self._turns) >= NETWORKS_MAX:
            del self._turns[next(iter(self._turns))]
        self._turns[network] = turn = min(turn, now + TURNS_S)
        return turn - now
