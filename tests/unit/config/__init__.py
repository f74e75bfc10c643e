"""Tests of settings, logs and outages. Each bears the name of its module."""
