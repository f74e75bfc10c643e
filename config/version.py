"""This version, where a program finds it that was copied and not installed."""

VERSION = "0.1.0"
