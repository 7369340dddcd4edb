"""What alerts are meant to do: contracts, their knobs and formulas, and the series of a signal at x."""

from harness.contracts.load import load_contracts
from harness.contracts.model import Contract, ContractKind, Knob, Op, Signal, Situation

__all__ = ["Contract", "ContractKind", "Knob", "Op", "Signal", "Situation", "load_contracts"]
