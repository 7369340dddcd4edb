"""The documents of a run of unit tests."""
