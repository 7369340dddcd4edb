"""The documents of a live run."""
