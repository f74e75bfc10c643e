"""A driver at work: keeps a connection up, goes online, and works at human speed. A locust user."""

from __future__ import annotations

import random
import time
from typing import Any, ClassVar

from locust import User, constant

from loadtests.rush.driver_behaviour import DriverAgenda, Job
from loadtests.rush.gevent_socket import GeventSocket, SocketLost
from loadtests.rush.reread_check import RereadCheck
from loadtests.rush.run_state import STATE

# How often a driver looks at what is due, and how it backs off when it is not welcomed.
TICK_S, BACK_OFF_S, BACK_OFF_S_MAX = 0.2, 0.5, 20.0
LAT, LON, STEP = 52.52, 13.405, 0.0003


class RushDriver(User):  # type: ignore[misc]
    """One driver with its app; the feed's positions are checked all the time."""

    wait_time = constant(TICK_S)
    fixed_count = STATE.profile.drivers

    def on_start(self) -> None:
        self.user = STATE.assign("driver")
        self.chance = random.Random(STATE.chance.getrandbits(64))
        self.log = RereadCheck()
        self.agenda = DriverAgenda(STATE.profile.think_times, STATE.profile.capacity, self.chance)
        self.link: GeventSocket | None = None
        self.fails = 0
        self.away_until_s = self.connected_ms = 0.0
        self.online = self.reread = False
        self.acked = self.cseq = 0
        self.locate_at_s = self.ack_at_s = 0.0
        self.lat, self.lon = LAT + self.chance.uniform(0, 0.01), LON + self.chance.uniform(0, 0.01)
        STATE.drivers.add(self)

    def on_stop(self) -> None:
        STATE.drivers.discard(self)
        if self.link is not None:
            self.link.hang_up()
        self.log.finish()
        wrong = self.log.position.faults + self.agenda.missing(time.monotonic())
        STATE.results.faults += [f"{self.user.zone_id}: {fault}" for fault in wrong]
        STATE.results.counts["logs read again"] += self.log.reread
        STATE.leave("driver", self.user)

    def work(self) -> None:
        """One look at what is due."""
        now_s = time.monotonic()
        if self.link is None or self.link.lost is not None:
            self._lost()
            if now_s >= self.away_until_s:
                self._connect()
            return
        try:
            if not self.online:
                self._go_online(self.link)
            self._background(self.link, now_s)
            while (job := self.agenda.due(now_s)) is not None:
                self._do(self.link, job)
        except SocketLost:
            return

    tasks: ClassVar = [work]

    def cut(self, *, reread: bool) -> None:
        """The connection is cut by the profile's storm; `reread` forgets the position's progress, too."""
        self.reread |= reread
        self.away_until_s = time.monotonic() + STATE.profile.away_s
        if self.link is not None:
            self.link.tear()

    # -- the connection -----------------------------------------------------------------------

    def _lost(self) -> None:
        """Note a line that the server has ended."""
        if self.link is not None and not self.link.cut:
            STATE.feed("line", 0.0, self.link.lost)
            self.away_until_s = time.monotonic() + self.chance.uniform(BACK_OFF_S, 2 * BACK_OFF_S)
        self.link = None

    def _connect(self) -> None:
        if self.reread:
            self.reread = False
            self.log.rewind()
        resume = self.log.position.resume()
        name = "hello" if resume is None else "resume"
        link, began_s = GeventSocket(STATE.plan.url, self.user.token), time.perf_counter()
        try:
            welcome = link.connect(resume)
        except SocketLost as error:
            STATE.feed(name, time.perf_counter() - began_s, str(error))
            self.fails += 1
            most_s = min(BACK_OFF_S_MAX, BACK_OFF_S * 2**self.fails)
            self.away_until_s = time.monotonic() + self.chance.uniform(BACK_OFF_S, most_s)
            return
        STATE.feed(name, time.perf_counter() - began_s)
        STATE.set_clock(welcome["server_time_ms"])
        self.link, self.fails, self.connected_ms = link, 0, welcome["server_time_ms"]
        STATE.results.counts["connected" if resume is None else "reconnected"] += 1
        if self.log.welcome(welcome):
            STATE.results.counts["snapshots"] += 1
            self.agenda.snapshot(welcome["snapshot"], time.monotonic())
        else:
            STATE.results.counts["resumed"] += 1
        link.listen(self._on_frame)

    def _on_frame(self, frame: dict[str, Any]) -> None:
        """A frame that answers no command."""
        now_s = time.monotonic()
        match frame["t"]:
            case "event":
                self._entry(frame, now_s)
            case "ping" if self.link is not None:
                try:
                    self.link.send({"t": "pong"})
                except SocketLost:
                    return
            case "state" if frame["topic"] == "board":
                self.agenda.board(frame["data"]["orders"], now_s)
            case "offer.revoked":
                self.agenda.revoked(frame["order_id"])
            case "error":
                STATE.feed("frame", 0.0, str(frame["code"]))
            case _:
                # What else there is (drain, the moved zone) shows in the close code, or changes nothing here.
                pass

    def _entry(self, frame: dict[str, Any], now_s: float) -> None:
        STATE.results.counts["entries"] += 1
        if not self.log.entry(frame):
            return
        if frame["type"] == "offer":
            STATE.results.counts["offers"] += 1
            # One that was written while the app was away says nothing about how fast the feed is.
            if frame["at_ms"] > self.connected_ms:
                STATE.feed("offer", STATE.age_s(frame["at_ms"]))
        self.agenda.entry(frame, now_s)

    # -- the work -----------------------------------------------------------------------------

    def _go_online(self, link: GeventSocket) -> None:
        began_s = time.perf_counter()
        key = f"online-{self.chance.getrandbits(80):020x}"
        reply = link.ask({"t": "availability", "status": "online", "key": key})
        self.online = reply["t"] == "reply" and bool(reply["ok"])
        why = None if self.online else str(reply.get("code") or reply.get("result"))
        STATE.feed("availability", time.perf_counter() - began_s, why)

    def _background(self, link: GeventSocket, now_s: float) -> None:
        """Location and acknowledgement."""
        think_times = STATE.profile.think_times
        if now_s >= self.locate_at_s:
            self.locate_at_s = now_s + self.chance.uniform(*think_times.locate_s)
            self.lat += self.chance.uniform(-STEP, STEP)
            self.lon += self.chance.uniform(-STEP, STEP)
            self.cseq += 1
            link.send({"t": "loc", "cseq": self.cseq, "lat": self.lat, "lon": self.lon, "accuracy_m": 8.0})
            STATE.results.counts["locations"] += 1
        seq = self.log.position.last
        if seq > self.acked and (now_s >= self.ack_at_s or seq >= self.acked + 16):
            self.acked, self.ack_at_s = seq, now_s + think_times.ack_s
            link.send({"t": "ack", "seq": seq})

    def _do(self, link: GeventSocket, job: Job) -> None:
        """One command; an unanswered one is repeated under its key."""
        began_s = time.perf_counter()
        try:
            reply = link.ask(job.frame())
        except SocketLost as error:
            if not link.cut:
                STATE.feed(job.t, time.perf_counter() - began_s, str(error))
            self.agenda.again(job, time.monotonic())
            raise
        took_s, now_s = time.perf_counter() - began_s, time.monotonic()
        found = reply["results"][0] if "results" in reply else reply
        result = str(reply["code"] if reply["t"] == "error" else found["result"])
        if found.get("temporary"):
            STATE.feed(job.t, took_s, result)
            self.agenda.again(job, now_s)
            return
        fine = self.agenda.answered(job, result, now_s)
        STATE.feed(job.t, took_s, None if fine else result)
        if job.t == "offer.accept":
            STATE.results.counts[f"accept: {result}"] += 1
        elif job.t == "order.delivery" and result == "delivered":
            STATE.results.counts["orders delivered"] += 1
