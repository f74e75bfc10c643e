"""Tracing: which traces are recorded, and how their spans get to a collector. Without an endpoint nothing of it runs.

Map:
sampling.py   which traces are recorded: by the id, or by the flag of a trusted proxy
collector.py  spans on their way to the collector: bounded, from a thread of their own
otlp.py       Tracer over OpenTelemetry's SDK; the only module that imports it
opening.py    the tracer of a process, as the settings say
"""
