"""Interfaces for operators: health, metrics, status of the instance and of the cluster.

Map:
health.py           liveness and readiness probes
prometheus.py       counters of the runtime and the cluster as Prometheus metrics
instance_status.py  status of this instance
cluster_status.py   status of all instances, queried over the links
jobs_status.py      /status/jobs: the status of background work
endpoints.py        /status and /metrics
metrics_document.py  config/deploy/metrics.md, made from a scrape
known_series.py     series that exist from the start, at zero
exposition_format.py  text, OpenMetrics, gzip
mails.py            /mails: what the sandbox keeps
exposition.py       metrics of several instances as one text
allowed_hosts.py    host names under which the ops port answers
html_tables.py      HTML pages of tables
status_html.py      HTML page of the status
jobs_html.py        HTML page of background work
page.html, page.css   frame of these pages; it loads nothing from elsewhere, and has no script
"""

from api.ops.allowed_hosts import only_hosts
from api.ops.endpoints import metrics_page, status_page
from api.ops.instance_status import status
from api.ops.mails import mail_page, mails_page
from api.ops.prometheus import RuntimeCollector

__all__ = [
    "RuntimeCollector",
    "mail_page",
    "mails_page",
    "metrics_page",
    "only_hosts",
    "status",
    "status_page",
]
