"""Objectives to recording rules, burn-rate alerts and their unit tests."""
