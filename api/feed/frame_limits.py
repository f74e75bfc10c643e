"""Frame limits: frames are counted and weighed before they are parsed, and passed on in slices.

A client that sends faster than the rate waits: reading stops, and the kernel's full buffer slows the client down. So no
frame of any kind, before or after `hello`, costs more than its tokens; no frame is refused for the rate alone; and
frames are read in the order in which they were sent. A client that stays over the rate is closed with 4101.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from api.transport.aiohttp_internals import WebSocketReader

# A burst of 100 frames, then 50 a second.
BURST_FRAMES = 100.0
FRAMES_PER_S = 50.0
# One token, less the rounding error.
ENOUGH = 0.999
# A frame counts once, and once more for each of these that it fills.
WEIGHT_BYTES = 4096
# Frames of one socket that are handled in one turn of the loop, counted as for the rate: a millisecond.
SLICE_FRAMES = 16
# Bytes that may wait: more than one read returns; before `hello`, more than any client has to send.
WAITING_BYTES_MAX = 512 * 1024
STRANGER_BYTES_MAX = 32 * 1024
# Time over the rate without a break, until the socket closes: 1,500 frames.
PATIENCE_S = 30.0


def frame_bytes(data: bytes, at: int) -> int:
    """Length of the frame that begins at `at` (RFC 6455, 5.2), header included; 0 while it is unknown."""
    there = len(data) - at
    if there < 2:
        return 0
    second = data[at + 1]
    size, mask = second & 0x7F, 4 if second & 0x80 else 0
    if size < 126:
        return 2 + mask + size
    width = 2 if size == 126 else 8
    if there < 2 + width:
        return 0
    return 2 + width + mask + int.from_bytes(data[at + 2 : at + 2 + width], "big")


def _nobody() -> None:
    """The `flooded` callback of a lost connection: it does nothing."""


class FrameMeter:
    """Rate meter between a connection and the reader of its frames.

    To the connection it is the reader, to the reader's queue it is the connection.

    Args:
        protocol: the connection; the meter calls its `pause_reading`, `resume_reading` and `close`.
        loop: the meter uses its `time`, `call_soon` and `call_later`.
        flooded: called once, when too many bytes wait, or for too long; nothing is read from then on.
    """

    __slots__ = (
        "_at", "_deaf", "_flooded", "_held", "_is_full", "_left", "_loop", "_next", "_protocol", "_since", "_stalled",
        "_tokens", "_waiting", "bytes_max", "reader",
    )  # fmt: skip

    def __init__(self, protocol: Any, loop: Any, flooded: Callable[[], None]) -> None:
        self.reader: WebSocketReader | None = None
        self._protocol = protocol
        self._loop = loop
        self._flooded = flooded
        self._tokens = BURST_FRAMES
        self._at = loop.time()
        # Since when the client has been over the rate.
        self._since = 0.0
        self.bytes_max = STRANGER_BYTES_MAX
        # Bytes that were read and not passed on, and the missing rest of the frame before them.
        self._waiting = b""
        self._left = 0
        self._stalled = self._held = self._is_full = self._deaf = False
        self._next: Any = None

    # -- interface of a reader, for the connection -----------------------------------------------

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Receive bytes; True when the connection must end."""
        if self._deaf:
            return False, b""
        if not (self._waiting or self._left or self._stalled or self._held or self._is_full):
            size = len(data)
            if size < WEIGHT_BYTES and frame_bytes(data, 0) == size and self._refill() >= ENOUGH:
                self._tokens -= 1  # the common case: one small frame, alone
                return self._pass(data), b""
        self._waiting = self._waiting + data if self._waiting else data
        if not self._stalled:
            return self._let_through(), b""
        self._bound()
        return False, b""

    def feed_eof(self) -> None:
        """Receive the end of the stream."""
        self._silence()
        if self.reader is not None:
            self.reader.feed_eof()
        self.reader, self._flooded = None, _nobody  # cycles, which would keep the socket alive

    # -- interface of a connection, for the reader's queue -----------------------------------------

    @property
    def _reading_paused(self) -> bool:
        return self._is_full

    def pause_reading(self) -> None:
        """Stop: the queue is full."""
        self._is_full = True
        self._protocol.pause_reading()

    def resume_reading(self) -> None:
        """Go on: the queue has room."""
        self._is_full = False
        self._come_back()

    # -- interface for the socket ----------------------------------------------------------------------

    def hold(self) -> None:
        """Pass no frame on until `release`."""
        self._held = True

    def release(self) -> None:
        """Pass frames on again."""
        if self._held:
            self._held = False
            self._come_back()

    def trust(self) -> None:
        """Raise the bound of waiting bytes for an authenticated client: a phone sends its offline commands."""
        self.bytes_max = WAITING_BYTES_MAX

    def charge(self, frames: int) -> None:
        """Charge the last frame as this many more."""
        self._tokens -= frames

    # -- inside -------------------------------------------------------------------------------------

    def _let_through(self) -> bool:
        """Pass on what may be read now; True when the connection must end."""
        self._refill()
        data, at, end, room = self._waiting, 0, len(self._waiting), SLICE_FRAMES
        is_over = False
        while at < end and not is_over:
            if not self._left:
                size = frame_bytes(data, at)
                if not size:
                    break
                if self._must_wait(room):
                    break
                cost = 1 + size // WEIGHT_BYTES
                self._tokens -= cost
                room -= cost
                self._left = size
            there = min(self._left, end - at)
            self._left -= there
            is_over = self._pass(data[at : at + there])
            at += there
        self._waiting = data[at:] if not self._deaf else b""
        if self._stalled:
            self._bound()
        else:
            self._since = 0.0
        return is_over

    def _refill(self) -> float:
        """The tokens available now."""
        now = self._loop.time()
        tokens: float = self._tokens + (now - self._at) * FRAMES_PER_S
        self._tokens = tokens = min(BURST_FRAMES, tokens)
        self._at = now
        return tokens

    def _pass(self, data: bytes) -> bool:
        return self.reader is None or self.reader.feed_data(data)[0]

    def _must_wait(self, room: int) -> bool:
        """True when the next frame must wait; the continuation is scheduled then."""
        if self._held or self._is_full:
            self._stall()
        elif self._tokens < ENOUGH:
            self._since = self._since or self._at
            self._stall()
            self._next = self._loop.call_later((1 - self._tokens) / FRAMES_PER_S, self._go_on)
        elif room <= 0:
            self._stall()
            self._next = self._loop.call_soon(self._go_on)
        return self._stalled

    def _stall(self) -> None:
        self._stalled = True
        self._protocol.pause_reading()

    def _bound(self) -> None:
        """Close a socket that is far over the limit."""
        late = self._since and self._loop.time() - self._since > PATIENCE_S
        if late or len(self._waiting) > self.bytes_max:
            self._silence()
            self._protocol.pause_reading()
            self._flooded()

    def _come_back(self) -> None:
        """Resume in a turn of its own, after a wait for room or for the end of a command."""
        if self._deaf or self._held or self._is_full or self._next is not None:
            return
        self._next = self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._next, self._stalled = None, False
        if self._deaf:
            return
        if self._let_through():
            self._protocol.close()
        elif not (self._stalled or self._held or self._is_full or self._deaf):
            self._protocol.resume_reading()

    def _silence(self) -> None:
        """Stop reading for good."""
        self._deaf, self._waiting = True, b""
        if self._next is not None:
            self._next.cancel()
            self._next = None
