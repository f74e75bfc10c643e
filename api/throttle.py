"""Password guessing is slowed down per account, beside the limit per address, and never locks anybody out.

An attempt is counted before its password is looked at. From a network that the account has been used from, it
counts against that network alone: whatever a crowd elsewhere does, the owner at home is not in its queue. All
other networks share one allowance per account; it slides, so after a flood the owner is let in from anywhere
within a minute. An account that does not exist is counted like any other.
"""

from __future__ import annotations

from hashlib import sha256

from api.call import Call
from api.problems import Problem
from config import metrics
from storage.redis.limits import Policy

# A person who tries several passwords, not a program.
FAMILIAR = Policy("login_familiar", 10)
# Of everybody else together: 14,400 guesses a day are nothing against eight characters and Argon2.
STRANGERS = Policy("login_account", 10)
# The old password is asked for by somebody who holds a token: perhaps not its owner.
CHANGES = Policy("password_change", 5)


def network_of(call: Call) -> str:
    """A digest of the network that the request comes from: the address, or its /64."""
    return _digest(call.office.gate.address_of(call.request))


def account_of(number: int | None, form: str) -> str:
    """What attempts at an account count under: its number, or, where none was found, the normal form of the address."""
    return _digest(form) if number is None else f"u{number}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]


async def slow_down(call: Call, account: str, network: str, *, known: bool) -> None:
    """Count an attempt to log in to an account (see `account_of`). `known`: it was used from this network before.

    Raises:
        Problem: rate_limited, with the time after which it is free again.
    """
    await count(call, *((FAMILIAR, f"{account}:{network}") if known else (STRANGERS, account)))


async def count(call: Call, policy: Policy, who: str) -> None:
    """Count one request against a policy.

    Raises:
        Problem: rate_limited.
    """
    if call.office.settings.rate_limits == "off":
        return
    verdict = await call.office.limits.hit((policy, who))
    if not verdict.allowed:
        metrics.RATE_LIMITED.labels(policy.name).inc()
        raise Problem("rate_limited", headers={"Retry-After": str(max(1, -int(-verdict.wait_s // 1)))})
