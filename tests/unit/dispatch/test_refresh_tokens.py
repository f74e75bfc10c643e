"""Refresh tokens: what each one that is shown leads to."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace

import pytest

from dispatch.domain.refresh_tokens import (
    REPLACED_S,
    SALTS_MAX,
    RefreshDecision,
    RefreshToken,
    judge,
    read_token,
)


@dataclass
class Row:
    """A session's row, and every token that it has ever had."""

    tokens: list[RefreshToken]
    salts: list[bytes] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)

    def rotate(self, age_s: float = 0.0) -> None:
        """Replace the current token; all that was before happened `age_s` earlier than it seemed."""
        salt = secrets.token_bytes(16)
        self.tokens.append(self.tokens[-1].next(salt))
        self.salts = [*self.salts, salt][-SALTS_MAX:]
        self.ages_s = [age + age_s for age in self.ages_s] + [0.0]
        self.ages_s = self.ages_s[-SALTS_MAX:]

    def shown(self, token: RefreshToken) -> tuple[RefreshDecision, RefreshToken]:
        """What the session says to a token."""
        current = self.tokens[-1]
        return judge(
            token, counter=current.counter, token_hash=current.key_hash, family_hash=current.family_hash,
            salts=self.salts, ages_s=self.ages_s,
        )  # fmt: skip


@pytest.fixture
def row() -> Row:
    draw = secrets.token_bytes
    return Row([RefreshToken(draw(16), 0, draw(16), draw(32))])


def test_a_token_is_read_as_it_was_written(row: Row) -> None:
    for _ in range(3):
        row.rotate()
    for token in row.tokens:
        assert read_token(token.text) == token
        assert len(token.text) == 95


def test_only_one_way_to_write_a_token_is_right(row: Row) -> None:
    text = row.tokens[0].text
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same_bytes = text[:-1] + letters[letters.index(text[-1]) ^ 1]
    for wrong in (same_bytes, text + "=", text[:-1], text + "A", text[4:], " " + text, "ref_" + "0" * 64, ""):
        assert read_token(wrong) is None


def test_the_current_token_is_replaced(row: Row) -> None:
    row.rotate()
    assert row.shown(row.tokens[-1]) == ("rotate", row.tokens[-1])


def test_the_one_before_gets_the_current_one_however_late(row: Row) -> None:
    row.rotate()
    row.ages_s = [10 * 3600.0]
    assert row.shown(row.tokens[-2]) == ("repeat", row.tokens[-1])


@pytest.mark.parametrize("behind", range(2, SALTS_MAX + 1))
def test_older_ones_get_the_current_one_for_ten_seconds(row: Row, behind: int) -> None:
    for _ in range(SALTS_MAX + 1):
        row.rotate()
    assert row.shown(row.tokens[-1 - behind]) == ("repeat", row.tokens[-1])
    row.ages_s[-behind] = REPLACED_S + 0.1
    assert row.shown(row.tokens[-1 - behind])[0] == "end"


def test_what_was_replaced_long_ago_ends_the_session(row: Row) -> None:
    for _ in range(SALTS_MAX + 1):
        row.rotate()
    assert row.shown(row.tokens[0])[0] == "end"


def test_who_has_another_family_ends_nothing(row: Row) -> None:
    row.rotate()
    for token in row.tokens:
        assert row.shown(replace(token, family=secrets.token_bytes(16)))[0] == "unknown"


@pytest.mark.parametrize("change", [{"key": bytes(32)}, {"counter": 7}, {"counter": 0}])
def test_who_has_the_family_but_no_token_of_it_has_a_copy(row: Row, change: dict[str, bytes | int]) -> None:
    row.rotate()
    row.rotate()
    assert row.shown(replace(row.tokens[-1], **change))[0] == "end"  # type: ignore[arg-type]


def test_what_the_row_holds_leads_to_no_token(row: Row) -> None:
    """The next key needs the key before: salts and hashes alone give another one."""
    row.rotate()
    before, current = row.tokens[-2:]
    for known in (before.key_hash, before.family_hash, bytes(32)):
        assert replace(before, key=known).next(row.salts[-1]).key != current.key
