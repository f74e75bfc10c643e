"""The ground: settings, logs, metrics. Imports nothing of ours.

Map:
settings.py   every setting, once, with its environment variable
logs.py       structlog behind a bounded buffer and a writer thread
metrics.py    every metric, declared once
"""
