"""Monitoring files, run by the real promtool and amtool (Debian's prometheus and prometheus-alertmanager).

Map:
alert_cases.py         when each alert must fire, and when it must not
promtool.py            runs cases through promtool
test_alert_rules.py    every alert fires, clears, and has a limit that matters
test_rule_files.py     the files are what their sources make; routing and inhibition
"""
