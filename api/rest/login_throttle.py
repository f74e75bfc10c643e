"""Login throttle: limits of password guessing per account, beside the limits per network. It never locks an account.

An attempt is counted before its password is verified. From a network where the account was used before, it counts
against that network alone, so that a flood from elsewhere does not affect the owner at home. All other networks
share one limit per account. The limit slides, so after a flood the owner can log in from anywhere within a minute.
A missing account is counted like any other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256

from api.auth.passwords import NEIGHBOUR_RANK, STRANGER_RANK
from api.contract.problems import Problem, problem_for
from api.http.request import RequestContext
from api.ratelimit.headers import seconds
from api.ratelimit.login_attempts import ACCOUNTS_MAX
from config import metrics
from storage.redis.limits import Policy

# Enough for a person who tries several passwords, not for a program.
FAMILIAR = Policy("login_familiar", 10)
# All other networks together: 14,400 guesses a day are nothing against eight characters and Argon2.
STRANGERS = Policy("login_account", 10)
# Changes of the password, which require the old one: the holder of a token may not be the owner.
CHANGES = Policy("password_change", 5)
# New accounts of one network, besides one for each account that has logged in there: an opening day, not a flood.
REGISTRATIONS = Policy("registrations", 30)
# Refreshes of one session: a phone refreshes every ten minutes, a browser in all of its windows at once.
REFRESHES = Policy("session_refresh", 60)


def network_of(context: RequestContext) -> str:
    """Digest of the request's network: the address, or its /64."""
    return _digest(context.services.admission.address_of(context.request))


def account_of(number: int | None, form: str) -> str:
    """Key of an account's counter: its number, or for a missing account the normal form of the address."""
    return _digest(form) if number is None else f"u{number}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]


async def accounts_here(context: RequestContext) -> int:
    """Number of accounts that have logged in from the caller's network; cached for a while."""
    attempts, address = (
        context.services.admission.attempts,
        context.services.admission.address_of(context.request),
    )
    found = attempts.accounts(address)
    if found is None:
        # A flood of new addresses waits here, and does not occupy all connections to the database.
        async with attempts.asking:
            found = attempts.accounts(address)
            if found is None:
                found = await context.services.accounts.count_known(network_of(context), ACCOUNTS_MAX)
                attempts.learn(address, found)
    return found


@asynccontextmanager
async def ranked(context: RequestContext) -> AsyncIterator[int]:
    """A context with the rank in which an account that is new to its network waits for Argon2.

    Raises:
        Overloaded: no account has logged in from the network, and too many of its kind are waiting.
    """
    if await accounts_here(context):
        yield NEIGHBOUR_RANK
        return
    with context.services.passwords.place():
        yield STRANGER_RANK


async def succeeded(context: RequestContext, *, known: bool) -> None:
    """Note a successful login: the attempt is uncounted, and the network gets a higher limit."""
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
    """A context of an unauthenticated attempt.

    It counts for its network unless it succeeds (`AdmissionControl.take_back`) or was not carried out; then the refusal
    says when its turn is.
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
    """Count a login attempt on an account (see `account_of`). `known`: it was used from this network before.

    Raises:
        Problem: rate_limited, with the seconds until the next attempt.
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
