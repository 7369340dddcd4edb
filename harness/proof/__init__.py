"""Prove where alerts fire: search the knob's boundary, compare with the contract, have promtool confirm it."""

from harness.proof.model import AlertResult, Verdict
from harness.proof.prove import STEPS_PER_ALERT, Proof

__all__ = ["STEPS_PER_ALERT", "AlertResult", "Proof", "Verdict"]
