"""Password guessing is slowed down per account, beside the limit per network, and never locks anybody out.

An attempt is counted before its password is looked at. From a network that the account has been used from, it
counts against that network alone: whatever a crowd elsewhere does, the owner at home is not in its queue. All
other networks share one allowance per account; it slides, so after a flood the owner is let in from anywhere
within a minute. An account that does not exist is counted like any other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256

from api.auth.passwords import NEIGHBOUR_RANK, STRANGER_RANK
from api.contract.problems import Problem, problem_for
from api.http.request import RequestContext
from api.ratelimit.admission import seconds
from api.ratelimit.login_attempts import ACCOUNTS_MAX
from config import metrics
from storage.redis.limits import Policy

# A person who tries several passwords, not a program.
FAMILIAR = Policy("login_familiar", 10)
# Of everybody else together: 14,400 guesses a day are nothing against eight characters and Argon2.
STRANGERS = Policy("login_account", 10)
# The old password is asked for by somebody who holds a token: perhaps not its owner.
CHANGES = Policy("password_change", 5)
# New accounts of one network, besides one for each that has logged in there: an opening day, not a flood.
REGISTRATIONS = Policy("registrations", 30)
# Of one session: a phone refreshes every ten minutes, all windows of a browser at once.
REFRESHES = Policy("session_refresh", 60)


def network_of(context: RequestContext) -> str:
    """A digest of the network that the request comes from: the address, or its /64."""
    return _digest(context.services.admission.address_of(context.request))


def account_of(number: int | None, form: str) -> str:
    """What attempts at an account count under: its number, or, where none was found, the normal form of the address."""
    return _digest(form) if number is None else f"u{number}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]


async def accounts_here(context: RequestContext) -> int:
    """How many accounts have logged in from the caller's network; looked up once in a while."""
    attempts, address = (
        context.services.admission.attempts,
        context.services.admission.address_of(context.request),
    )
    found = attempts.accounts(address)
    if found is None:
        # Of a crowd of new addresses a few ask at a time: the others wait here, not for the connections of everybody.
        async with attempts.asking:
            found = attempts.accounts(address)
            if found is None:
                found = await context.services.accounts.count_known(network_of(context), ACCOUNTS_MAX)
                attempts.learn(address, found)
    return found


@asynccontextmanager
async def ranked(context: RequestContext) -> AsyncIterator[int]:
    """Where somebody waits for his turn of Argon2 whose account is not familiar with his network.

    Raises:
        Overloaded: it is a network that nobody knows, and too many of them are waiting.
    """
    if await accounts_here(context):
        yield NEIGHBOUR_RANK
        return
    with context.services.passwords.place():
        yield STRANGER_RANK


async def succeeded(context: RequestContext, *, known: bool) -> None:
    """Somebody has logged in: his attempt is taken back, and his network is a better one than before."""
    admission = context.services.admission
    await admission.take_back(context)
    if not known:
        admission.attempts.welcome(admission.address_of(context.request))


async def count_registration(context: RequestContext) -> None:
    """Count a new account for its network.

    Raises:
        Problem: rate_limited.
    """
    policy = replace(REGISTRATIONS, limit=REGISTRATIONS.limit + await accounts_here(context))
    await count(context, policy, network_of(context))


@asynccontextmanager
async def trying(context: RequestContext) -> AsyncIterator[None]:
    """An attempt of somebody who has proved nothing; it counts for his network unless the block says that he has
    succeeded (`AdmissionControl.take_back`), or nothing was done: then he is told when it is his turn.
    """
    admission = context.services.admission
    network = admission.address_of(context.request)
    with admission.attempts.trying(network):
        try:
            yield
        except Exception as error:
            problem = problem_for(error)
            if problem.kind.status != 503:
                raise
            await admission.take_back(context)
            if problem.code == "overloaded":
                problem.headers["Retry-After"] = str(seconds(admission.attempts.turn_s(network)))
            raise problem from error


async def slow_down(context: RequestContext, account: str, network: str, *, known: bool) -> None:
    """Count an attempt to log in to an account (see `account_of`). `known`: it was used from this network before.

    Raises:
        Problem: rate_limited, with the time after which it is free again.
    """
    await count(context, *((FAMILIAR, f"{account}:{network}") if known else (STRANGERS, account)))


async def count(context: RequestContext, policy: Policy, who: str) -> None:
    """Count one request against a policy.

    Raises:
        Problem: rate_limited.
    """
    if context.services.settings.rate_limits == "off":
        return
    allowance = await context.services.limits.hit((policy, who))
    if not allowance.allowed:
        metrics.RATE_LIMITED.labels(policy.name).inc()
        raise Problem("rate_limited", headers={"Retry-After": str(max(1, -int(-allowance.wait_s // 1)))})
