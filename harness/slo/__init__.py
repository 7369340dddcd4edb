"""Service level objectives: read (OpenSLO v1, sloth), compiled to Prometheus rules, measured, reported."""

from harness.slo.model import Objective
from harness.slo.spec.load import load_objectives

__all__ = ["Objective", "load_objectives"]
