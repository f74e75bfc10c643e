"""Errors that end a command before it has begun."""

from __future__ import annotations


class CannotStart(Exception):
    """A command cannot begin. The message says why, and what to do."""
