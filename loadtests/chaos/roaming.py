"""Callers who talk to any instance, and go to another one when theirs does not answer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import aiohttp

from loadtests.kit.client import Mall

# How often somebody goes to another instance without a reason.
WANDER = 0.05
# Answers after which a caller tries its luck elsewhere.
_ELSEWHERE = frozenset({500, 503, 504})


class RoamingMall(Mall):
    """REST as one caller, through one instance until that disappoints.

    Args:
        urls: of all instances.
        restless: another instance each time, for the lines of a phone: it reads `url` once for each.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        urls: Sequence[str],
        chance: random.Random,
        token: str = "",
        *,
        restless: bool = False,
    ) -> None:
        self._urls = urls
        self._chance = chance
        self._restless = restless
        super().__init__(http, chance.choice(urls), token)

    @property
    def url(self) -> str:
        """The instance that is talked to."""
        if self._restless:
            self.move()
        return self._url

    @url.setter
    def url(self, url: str) -> None:
        self._url = url

    def restless(self) -> RoamingMall:
        """The same caller, for its phone."""
        return RoamingMall(
            self.http, self._urls, random.Random(self._chance.getrandbits(64)), self.token, restless=True
        )

    def as_(self, token: str) -> RoamingMall:
        """The same instances as another caller."""
        return RoamingMall(self.http, self._urls, random.Random(self._chance.getrandbits(64)), token)

    def move(self) -> None:
        """Talk to another instance from now on."""
        self._url = self._chance.choice([url for url in self._urls if url != self._url] or [self._url])

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """One request, to one instance. Connection errors pass through; who repeats asks another one."""
        if self._chance.random() < WANDER:
            self.move()
        try:
            status, answer, headers = await super().call(method, path, body, key=key)
        except (aiohttp.ClientError, OSError, TimeoutError):
            self.move()
            raise
        if status in _ELSEWHERE:
            self.move()
        return status, answer, headers
