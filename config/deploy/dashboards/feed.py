"""Feed: drivers' sockets and how fresh their frames are."""

from __future__ import annotations

from config.deploy.dashboards.panels import INSTANCES, Board, PanelQuery, Section, lines, stat
from config.deploy.dashboards.promql import here, latest, per_second, quantile, ratio, slow_share
from config.deploy.slo import OBJECTIVES

_LATE = "mall_feed_late_seconds"
_FRESHNESS = next(one for one in OBJECTIVES if one.name == "feed_freshness")

_NOW = Section(
    "Now",
    (
        stat(
            1, "Drivers' sockets", "short",
            "Open sockets of drivers on all instances.",
            PanelQuery(latest("sum", "mall_feed_sessions"), "sockets"),
            width=8,
        ),
        stat(
            2, "Frames that were late", "percentunit",
            "Share of frames that left more than 250 ms after their commit, in the last hour. It is red above the "
            "budget of the objective.",
            PanelQuery(slow_share(_LATE, "0.25", window="1h"), "late"),
            alerts=("MallErrorBudgetBurn",), width=8, limit=_FRESHNESS.budget,
        ),
        stat(
            3, "Sessions that resumed", "percentunit",
            "Share of sessions of the last hour that went on where they had stopped; the others began with a snapshot.",
            PanelQuery(
                ratio('mall_feed_resumes_total{outcome="resumed"}', "mall_feed_resumes_total", window="1h"),
                "resumed",
            ),
            width=8,
        ),
    ),
)  # fmt: skip
_SESSIONS = Section(
    "Sessions",
    (
        lines(
            4, "Sockets by instance", "short",
            "Open sockets of each instance. A step down and up again is a restart.",
            PanelQuery(latest("sum", here("mall_feed_sessions"), "instance"), "{{instance}}"),
        ),
        lines(
            5, "Sessions that begin", "cps",
            "New sessions, by how they began. A crowd of snapshots costs much more than a crowd that resumes.",
            PanelQuery(per_second(here("mall_feed_resumes_total"), "outcome"), "{{outcome}}"),
        ),
        lines(
            6, "Sockets closed by us", "cps",
            "Sockets that the server closed, by code. 4202 is a driver who reads too slowly, 4006 a second phone.",
            PanelQuery(per_second(here("mall_feed_closes_total"), "code"), "{{code}}"),
        ),
    ),
)  # fmt: skip
_FRAMES = Section(
    "Frames",
    (
        lines(
            7, "Lateness of frames", "s",
            "From the time of a commit to the socket, median and slowest 1 %.",
            PanelQuery(quantile(0.5, here(_LATE)), "p50"),
            PanelQuery(quantile(0.99, here(_LATE)), "p99"),
            alerts=("MallFeedLate",), limited=True,
        ),
        lines(
            8, "Frames", "mps",
            "Frames sent: reliable ones, and those of which only the latest counts.",
            PanelQuery(per_second(here("mall_feed_frames_total"), "lane"), "{{lane}}"),
        ),
        lines(
            9, "Frames replaced, feeds repaired", "cps",
            "Latest-value frames that were replaced before they were sent, and feeds that the sweep found behind "
            "their row. The sweep should find nothing.",
            PanelQuery(per_second(here("mall_feed_conflated_total")), "replaced"),
            PanelQuery(per_second(here("mall_feed_swept_total")), "found by the sweep"),
        ),
        lines(
            10, "Commands over the feed", "ops",
            "Commands of drivers that came over their sockets, by result.",
            PanelQuery(per_second(here('mall_commands_total{via="feed"}'), "result"), "{{result}}"),
            width=12,
        ),
        lines(
            11, "Positions not believed", "cps",
            "Positions that were put aside, by reason: at 0,0, too inaccurate, or a jump.",
            PanelQuery(per_second(here("mall_positions_apart_total"), "why"), "{{why}}"),
            width=12,
        ),
    ),
)  # fmt: skip
BOARD = Board(
    "feed",
    "Feed",
    "Drivers' sockets: how many there are, how fresh their frames are, and why they end.",
    (_NOW, _SESSIONS, _FRAMES),
    (INSTANCES,),
    since="3h",
)
