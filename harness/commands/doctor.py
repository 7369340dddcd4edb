"""What is installed."""

from __future__ import annotations

import sys

from harness.choices.doctor import DoctorChoices
from harness.commands.project import toolchain
from harness.config import Config
from harness.toolchain import run_doctor


def run(config: Config, choices: DoctorChoices) -> int:
    """Print what was found; 0 if `verify` has all it needs, else 3."""
    text, code = run_doctor(toolchain(config), as_json=choices.json, fetch=choices.fetch)
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    return code
