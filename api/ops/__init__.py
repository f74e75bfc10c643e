"""For operators: what the runtime counts, as Prometheus metrics, and the whole cluster as a status page.

Map:
collector.py   the runtime's and the cluster's counters as Prometheus metrics
own.py         the status of this instance
whole.py       the status of all instances: asked over the peer lines, put together
answers.py     how /status and /metrics are asked for, and answered
machine.py     the ops address of a machine with several instances: all of them behind one
exposition.py  the metrics of several instances as one text
hosts.py       under which names operators may ask
page.py        the status as HTML
page.html, page.css   its frame: nothing from elsewhere, no script
"""

from api.ops.answers import metrics_page, status_page
from api.ops.collector import RuntimeCollector
from api.ops.hosts import only_hosts
from api.ops.own import status

__all__ = ["RuntimeCollector", "metrics_page", "only_hosts", "status", "status_page"]
