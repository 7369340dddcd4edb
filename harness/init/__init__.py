"""The start of a project: settings, contract skeletons and CI snippets for the rules that are there."""

from harness.init.start import Start, Written, init

__all__ = ["Start", "Written", "init"]
