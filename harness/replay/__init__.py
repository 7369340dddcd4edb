"""Rule groups over stored history: slots on a throwaway Prometheus, evaluated into timelines."""

from harness.replay.evaluate import Plan, Replay
from harness.replay.labels import opaque_labels
from harness.replay.order import Phases
from harness.replay.slots import Batch, EndlessTape, Reel, Tape
from harness.replay.timeline import AlertTimeline, State

__all__ = [
    "AlertTimeline", "Batch", "EndlessTape", "Phases", "Plan", "Reel", "Replay", "State", "Tape", "opaque_labels",
]  # fmt: skip
