"""The documents of `check`."""
