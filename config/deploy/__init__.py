"""Deployment and monitoring files, and the programs that make them. Nothing here is imported by the server.

Map:
metrics.md      every metric; made by api/ops/metrics_document.py
slo.py          service level objectives, and the rules that follow from them
alerts.py       all other alerts, with their limits
rules.py        writes prometheus/rules/; `python -m config.deploy.rules`
prometheus/     configuration and rules of Prometheus
alertmanager/   who is told, and what is not told beside a larger fault
runbooks/       a page for each alert: what it means, and what to do
operator_rules.py  writes them for Kubernetes; `python -m config.deploy.operator_rules`
k8s/            manifests for Kubernetes
compose/        what runs beside the product in compose
dashboards/     sources of grafana/dashboards/; `python -m config.deploy.dashboards`
grafana/        provisioning and dashboards
logs/           shippers of log lines, lnav
image.sh        the steps that make the container image
alive.sh        the image's health check
"""
