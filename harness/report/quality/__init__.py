"""The documents of `slo prove`."""
