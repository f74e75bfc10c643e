"""Monitoring files, run by the real promtool, amtool and Prometheus (Debian's prometheus and prometheus-alertmanager).

Map:
alert_cases.py         when each alert must fire, and when it must not
promtool.py            runs cases through promtool
test_alert_rules.py    every alert fires, clears, and has a limit that matters
test_rule_files.py     the files are what their sources make; routing and inhibition
prometheus_process.py  a real Prometheus over the shipped configuration
eventful_mall.py       a mall in which everything happens once
dashboard_queries.py   queries of dashboards, and what is wrong with them
test_dashboards.py     the files are what their source makes, and keep the rules of dashboards
test_dashboard_queries.py  every query has values, and asks for nothing that does not exist
"""
