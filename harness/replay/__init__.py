"""Rule groups over stored history: slots on a throwaway Prometheus, evaluated into timelines."""

from harness.replay.evaluate import Replay
from harness.replay.labels import opaque_labels
from harness.replay.order import GroupPhases
from harness.replay.plan import Plan
from harness.replay.slots import Batch, EndlessSlotWriter, SlotRange, SlotWriter
from harness.replay.timeline import AlertState, AlertTimeline

__all__ = [
    "AlertState",
    "AlertTimeline",
    "Batch",
    "EndlessSlotWriter",
    "GroupPhases",
    "Plan",
    "Replay",
    "SlotRange",
    "SlotWriter",
    "opaque_labels",
]  # fmt: skip
