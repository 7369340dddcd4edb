"""Objectives as documents: OpenSLO v1, sloth; what is refused, and why."""
