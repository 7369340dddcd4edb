"""Scenarios: what goes wrong when, the traffic meanwhile, what fired, and whether it should have."""
