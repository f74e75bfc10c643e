"""A driver at work: keeps a line up, goes online, and does its shift at human speed. A locust user."""

from __future__ import annotations

import random
import time
from typing import Any, ClassVar

from locust import User, constant

from loadtests.rush.line import Line, LinkLost
from loadtests.rush.position import Position
from loadtests.rush.shift import Job, Shift
from loadtests.rush.studio import STUDIO

# How often a driver looks at what is due, and how it backs off when it is not welcomed.
TICK_S, BACK_OFF_S, BACK_OFF_S_MAX = 0.2, 0.5, 20.0
LAT, LON, STEP = 52.52, 13.405, 0.0003


class Driver(User):  # type: ignore[misc]
    """One driver with its app; the feed's positions are checked all the time."""

    wait_time = constant(TICK_S)
    fixed_count = STUDIO.profile.drivers

    def on_start(self) -> None:
        self.part = STUDIO.cast("driver")
        self.chance = random.Random(STUDIO.chance.getrandbits(64))
        self.position = Position()
        self.shift = Shift(STUDIO.profile.habits, STUDIO.profile.capacity, self.chance)
        self.line: Line | None = None
        self.fails = 0
        self.away_until_s = self.connected_ms = 0.0
        self.online = self.reread = False
        self.acked = self.cseq = 0
        self.locate_at_s = self.ack_at_s = 0.0
        self.lat, self.lon = LAT + self.chance.uniform(0, 0.01), LON + self.chance.uniform(0, 0.01)
        STUDIO.drivers.add(self)

    def on_stop(self) -> None:
        STUDIO.drivers.discard(self)
        if self.line is not None:
            self.line.hang_up()
        self.position.finish()
        wrong = self.position.faults + self.shift.missing(time.monotonic())
        STUDIO.take.faults += [f"{self.part.zone_id}: {fault}" for fault in wrong]
        STUDIO.take.counts["logs read again"] += self.position.reread
        STUDIO.leave("driver", self.part)

    def work(self) -> None:
        """One look at what is due."""
        now_s = time.monotonic()
        if self.line is None or self.line.lost is not None:
            self._lost()
            if now_s >= self.away_until_s:
                self._connect()
            return
        try:
            if not self.online:
                self._go_online(self.line)
            self._background(self.line, now_s)
            while (job := self.shift.due(now_s)) is not None:
                self._do(self.line, job)
        except LinkLost:
            return

    tasks: ClassVar = [work]

    def cut(self, *, reread: bool) -> None:
        """The line is torn by the profile's storm; `reread` forgets the position's progress, too."""
        self.reread |= reread
        self.away_until_s = time.monotonic() + STUDIO.profile.away_s
        if self.line is not None:
            self.line.tear()

    # -- the line -----------------------------------------------------------------------------

    def _lost(self) -> None:
        """Note a line that the server has ended."""
        if self.line is not None and not self.line.cut:
            STUDIO.feed("line", 0.0, self.line.lost)
            self.away_until_s = time.monotonic() + self.chance.uniform(BACK_OFF_S, 2 * BACK_OFF_S)
        self.line = None

    def _connect(self) -> None:
        if self.reread:
            self.reread = False
            self.position.rewind()
        resume = self.position.resume()
        name = "hello" if resume is None else "resume"
        line, began_s = Line(STUDIO.play.url, self.part.token), time.perf_counter()
        try:
            welcome = line.connect(resume)
        except LinkLost as error:
            STUDIO.feed(name, time.perf_counter() - began_s, str(error))
            self.fails += 1
            most_s = min(BACK_OFF_S_MAX, BACK_OFF_S * 2**self.fails)
            self.away_until_s = time.monotonic() + self.chance.uniform(BACK_OFF_S, most_s)
            return
        STUDIO.feed(name, time.perf_counter() - began_s)
        STUDIO.set_clock(welcome["server_time_ms"])
        self.line, self.fails, self.connected_ms = line, 0, welcome["server_time_ms"]
        STUDIO.take.counts["connected" if resume is None else "reconnected"] += 1
        if self.position.welcome(welcome):
            STUDIO.take.counts["snapshots"] += 1
            self.shift.snapshot(welcome["snapshot"], time.monotonic())
        else:
            STUDIO.take.counts["resumed"] += 1
        line.listen(self._take)

    def _take(self, frame: dict[str, Any]) -> None:
        """A frame that answers no command."""
        now_s = time.monotonic()
        match frame["t"]:
            case "event":
                self._entry(frame, now_s)
            case "ping" if self.line is not None:
                try:
                    self.line.send({"t": "pong"})
                except LinkLost:
                    return
            case "state" if frame["topic"] == "board":
                self.shift.board(frame["data"]["orders"], now_s)
            case "offer.revoked":
                self.shift.revoked(frame["order_id"])
            case "error":
                STUDIO.feed("frame", 0.0, str(frame["code"]))
            case _:
                # What else there is (drain, the moved zone) shows in the close code, or changes nothing here.
                pass

    def _entry(self, frame: dict[str, Any], now_s: float) -> None:
        STUDIO.take.counts["entries"] += 1
        if not self.position.take(frame):
            return
        if frame["type"] == "offer":
            STUDIO.take.counts["offers"] += 1
            # One that was written while the app was away says nothing about how fast the feed is.
            if frame["at_ms"] > self.connected_ms:
                STUDIO.feed("offer", STUDIO.age_s(frame["at_ms"]))
        self.shift.entry(frame, now_s)

    # -- the work -----------------------------------------------------------------------------

    def _go_online(self, line: Line) -> None:
        began_s = time.perf_counter()
        key = f"online-{self.chance.getrandbits(80):020x}"
        reply = line.ask({"t": "availability", "status": "online", "key": key})
        self.online = reply["t"] == "reply" and bool(reply["ok"])
        why = None if self.online else str(reply.get("code") or reply.get("result"))
        STUDIO.feed("availability", time.perf_counter() - began_s, why)

    def _background(self, line: Line, now_s: float) -> None:
        """Location and acknowledgement."""
        habits = STUDIO.profile.habits
        if now_s >= self.locate_at_s:
            self.locate_at_s = now_s + self.chance.uniform(*habits.locate_s)
            self.lat += self.chance.uniform(-STEP, STEP)
            self.lon += self.chance.uniform(-STEP, STEP)
            self.cseq += 1
            line.send({"t": "loc", "cseq": self.cseq, "lat": self.lat, "lon": self.lon, "accuracy_m": 8.0})
            STUDIO.take.counts["locations"] += 1
        seq = self.position.seq or 0
        if seq > self.acked and (now_s >= self.ack_at_s or seq >= self.acked + 16):
            self.acked, self.ack_at_s = seq, now_s + habits.ack_s
            line.send({"t": "ack", "seq": seq})

    def _do(self, line: Line, job: Job) -> None:
        """One command; an unanswered one is repeated under its key."""
        began_s = time.perf_counter()
        try:
            reply = line.ask(job.frame())
        except LinkLost as error:
            if not line.cut:
                STUDIO.feed(job.t, time.perf_counter() - began_s, str(error))
            self.shift.again(job, time.monotonic())
            raise
        took_s, now_s = time.perf_counter() - began_s, time.monotonic()
        found = reply["results"][0] if "results" in reply else reply
        result = str(reply["code"] if reply["t"] == "error" else found["result"])
        if found.get("temporary"):
            STUDIO.feed(job.t, took_s, result)
            self.shift.again(job, now_s)
            return
        fine = self.shift.answered(job, result, now_s)
        STUDIO.feed(job.t, took_s, None if fine else result)
        if job.t == "offer.accept":
            STUDIO.take.counts[f"accept: {result}"] += 1
        elif job.t == "order.delivery" and result == "delivered":
            STUDIO.take.counts["orders delivered"] += 1
