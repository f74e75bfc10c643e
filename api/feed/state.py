"""Rules of one feed session, without I/O: frames and times go in, decisions come out.

Nothing here reads a clock or knows a loop, a socket, a log or a metric. The session (session.py) and the simulator's
socket (tests/simulation/node.py) apply the same rules, so the simulator finds defects of the rules that serve drivers.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from api.feed import frames
from api.subscriptions import close_codes

# Ping after this much silence; without any frame for this long the connection is dead.
PING_S = 25.0
SILENT_S = 37.5
# The token's end is announced this long before.
EXPIRY_NOTICE_S = 60.0
# Commands of one socket at once; further frames wait. A phone that was offline sends many.
COMMANDS_MAX = 16
# Undecodable frames until the socket is closed.
STRIKES_MAX = 50


class Disposition(Enum):
    """Treatment of a frame for the client."""

    SEND = "send"
    # It was sent already.
    DROP = "drop"
    # Entries before it were lost: bind the session to its actor again, which repeats them.
    GAP = "gap"
    # Lost entries cannot be repeated: close, and the client resumes with a snapshot.
    LOST = "lost"


class Admission(Enum):
    """Whether a frame that needs a valid token is handled."""

    ADMITTED = 0
    # The revocation check is not possible: refuse a command for now, ignore a position.
    REFUSED = 1
    IGNORED = 2
    # The token has ended: close with this code.
    REVOKED = close_codes.UNAUTHENTICATED
    EXPIRED = close_codes.TOKEN_EXPIRED


class Heartbeat(NamedTuple):
    """Result of a heartbeat.

    Attributes:
        close: the code to close with, or 0.
        ping: send a ping.
        expires_in_s: announce that the token ends in this many seconds; None: no announcement now.
        next_s: seconds until the next heartbeat.
    """

    close: int
    ping: bool
    expires_in_s: int | None
    next_s: float


def classify_frame(position: int | None, frame: Mapping[str, Any]) -> Disposition:
    """Whether a frame follows the last one that was sent, repeats it, or leaves a gap.

    The actor may have a new owner, and frames of the old one may come late or be lost; so the session counts positions
    itself.

    Args:
        position: the last entry that was sent; None before the welcome.
        frame: any frame for the client.
    """
    kind = frame["t"]
    if kind == "event":
        if position is None or frame["seq"] <= position:
            return Disposition.DROP
        return Disposition.SEND if frame["seq"] == position + 1 else Disposition.GAP
    if kind != "welcome" or position is None:
        return Disposition.SEND
    return Disposition.DROP if frame["resumed"] and frame["seq"] <= position else Disposition.LOST


def command_cost(frame: frames.Command) -> int:
    """How many commands a frame counts as: one for each order that it names."""
    return len(frame.orders) if isinstance(frame, frames.OF_OFFER) else 1


class FeedState:
    """State of one socket: its position in the feed, token, last sign of life, commands and strikes.

    Args:
        now: monotonic seconds.
        expires_at: when the token ends, by the clock's `steady` seconds.
        epoch, position: the client's last position; None for a new client.

    Attributes:
        position: the last entry that was sent; until the welcome, the position that the client named.
        acked: the last entry that the client has confirmed.
        closing: the code that the socket closes with; 0 while it is open.
        commands: number of commands that wait for their answer.
        heard_at: when the client last sent something, in monotonic seconds.
        unreachable: the driver counts as unreachable, and its app was told.
    """

    __slots__ = (
        "acked", "closing", "commands", "epoch", "expires_at", "expiry_told", "heard_at", "position", "strikes",
        "unreachable", "welcomed",
    )  # fmt: skip

    def __init__(
        self, now: float, expires_at: float, epoch: str | None = None, position: int | None = None
    ) -> None:
        self.epoch = epoch
        self.position = position
        self.welcomed = False
        self.acked = 0
        self.closing = 0
        self.commands = 0
        self.strikes = 0
        self.unreachable = False
        self.heard_at = now
        self.expires_at = expires_at
        self.expiry_told = False

    # -- to the client ------------------------------------------------------------------------

    def advance(self, frame: Mapping[str, Any]) -> Disposition:
        """Classify a frame for the client; one that will be sent moves the position."""
        found = classify_frame(self.position if self.welcomed else None, frame)
        if found is Disposition.SEND:
            kind = frame["t"]
            if kind == "event":
                self.position = frame["seq"]
            elif kind == "welcome":
                self.epoch, self.position, self.welcomed = frame["epoch"], frame["seq"], True
        return found

    def close(self, code: int) -> bool:
        """Close with a code; True for the first one, which stands."""
        if self.closing:
            return False
        self.closing = code
        return True

    # -- from the client ----------------------------------------------------------------------

    def receive(self, text: str | None, now: float) -> frames.Frame | frames.BadFrame | None:
        """Decode a text into its frame, or into the reason why it is not one; either is a sign of life.

        None stands for a message without a text (a ping or pong of WebSocket). Once the socket is closing, every
        message is ignored.
        """
        if self.closing:
            return None
        self.heard_at = now
        if text is None:
            return None
        try:
            return frames.decode_frame(text.encode())
        except frames.BadFrame as error:
            return error
        except UnicodeEncodeError:
            return frames.BadFrame("not UTF-8")

    def strike(self) -> int:
        """Count an undecodable frame; returns the close code after too many, or 0."""
        self.strikes += 1
        return close_codes.BAD_FRAME if self.strikes > STRIKES_MAX else 0

    def ack(self, seq: int) -> None:
        """Note that the client has applied all entries up to this one."""
        self.acked = max(self.acked, seq)

    def comes_back(self, frame: frames.Frame) -> bool:
        """True once, when a driver who counts as unreachable sends a frame that no app sends by itself."""
        if not self.unreachable or isinstance(frame, frames.PongFrame):
            return False
        self.unreachable = False
        return True

    # -- commands -----------------------------------------------------------------------------

    def admit(
        self, frame: frames.Frame, steady: float, leeway_s: float, *, is_revoked: bool, is_blind: bool
    ) -> Admission:
        """Whether the token is valid for a command or position; this may be the first to notice its end.

        Args:
            frame: the command or position.
            steady: the clock's steady seconds.
            leeway_s: how long after its end a token is still valid for a frame.
            is_revoked: the session or the user was revoked.
            is_blind: revocation cannot be checked at the moment.
        """
        if code := self.token_end(self.expires_at + leeway_s - steady, is_revoked=is_revoked):
            return Admission(code)
        if is_blind:
            return Admission.IGNORED if isinstance(frame, frames.LocationFrame) else Admission.REFUSED
        return Admission.ADMITTED

    def begin_command(self) -> bool:
        """Count a command that waits for its answer; True when reading must stop."""
        self.commands += 1
        return self.commands >= COMMANDS_MAX

    def end_command(self) -> bool:
        """Uncount an answered command; True when reading may resume."""
        was_full = self.commands == COMMANDS_MAX
        self.commands -= 1
        return was_full

    # -- the clock ----------------------------------------------------------------------------

    def heartbeat(self, now: float, steady: float, awake_at: float, *, is_revoked: bool) -> Heartbeat:
        """A ping after PING_S of silence, a close after SILENT_S, and the end of the token.

        `token_end` decides about the token.

        Args:
            now: monotonic seconds.
            steady: the clock's steady seconds.
            awake_at: since when this process has been able to hear its clients.
            is_revoked: the session or the user was revoked.
        """
        silent_s = now - max(self.heard_at, awake_at)
        left_s = self.expires_at - steady
        close = self.token_end(left_s, is_revoked=is_revoked)
        if not close and silent_s >= SILENT_S:
            close = close_codes.NO_PONG
        told = None
        if left_s <= EXPIRY_NOTICE_S and not self.expiry_told:
            self.expiry_told = True
            told = max(0, int(left_s))
        speaks_by = SILENT_S if silent_s >= PING_S else PING_S
        next_s = min(speaks_by - silent_s, left_s if self.expiry_told else left_s - EXPIRY_NOTICE_S)
        return Heartbeat(close, not close and silent_s >= PING_S, told, next_s)

    def token_end(self, left_s: float, *, is_revoked: bool) -> int:
        """The code to close the socket with at its token's end; 0 while the token is valid.

        4201 tells the client to reconnect with a fresh token; 4001 tells it to stop, because the session was revoked.
        The end was announced EXPIRY_NOTICE_S before, so that `renew` can prevent it.
        """
        if is_revoked:
            return close_codes.UNAUTHENTICATED
        return close_codes.TOKEN_EXPIRED if left_s <= 0 else 0

    def renew(self, expires_at: float) -> None:
        """Extend the socket to the end of a fresh token."""
        self.expires_at, self.expiry_told = expires_at, False
