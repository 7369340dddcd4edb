"""Service level objectives: read (OpenSLO v1, sloth), compiled to Prometheus rules, measured, reported."""

from harness.slo.load import load_objectives
from harness.slo.model import Objective

__all__ = ["Objective", "load_objectives"]
