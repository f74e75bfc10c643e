"""The ground: settings, logs, metrics. Imports nothing of ours.

Map:
settings.py   every setting, once, with its environment variable
doubts.py     what is allowed in the settings and yet seldom meant
samples.py    secrets that are none
findings.py   what a look at the surroundings finds
commandline.py  what can be asked of the program
version.py    this version
supervisor.py several instances behind one port, kept alive
outages.py    what is lost at the moment: one line, and one when it is back
sampling.py   lines that strangers cause, not all of them
logs.py       structlog behind a bounded buffer and a writer thread
metrics.py    every metric, declared once
"""
