"""Alerts on a compressed clock: a real rule manager, a real Alertmanager, a receiver of our own."""

DEFAULT_FACTOR = 60
"""How many times as fast the clock runs unless one says otherwise; ten minutes take ten seconds."""
