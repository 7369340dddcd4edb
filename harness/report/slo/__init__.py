"""The documents of `slo report`."""
