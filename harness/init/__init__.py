"""The start of a project: settings, contract skeletons and CI snippets for the rules that are there."""

from harness.init.start import InitFile, InitReport, init

__all__ = ["InitFile", "InitReport", "init"]
