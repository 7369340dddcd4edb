"""The nine alerts are exact on both versions of Prometheus, as a process and in a container.

What is expected stands here, written out from the table of the product's description: neither a rule nor a contract is
asked for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import pytest

from harness.contracts import Contract, load_contracts
from harness.engines.base import Engine
from harness.engines.container import ContainerEngine
from harness.engines.process import ProcessEngine
from harness.engines.promtool import Promtool
from harness.proof import AlertResult, Proof
from harness.proof.measuring.measure import Measurement, Measurer
from harness.proof.model import LocatedAlert
from harness.rules import load_rules
from harness.toolchain import probe_container_engine
from tests.needs import binary_of, refuse_to_skip

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("2.53", "3.5")


@dataclass(frozen=True)
class Meant:
    """One line of the table; `quiet_at` and `fires_at` are None where only nearness to the threshold is asked for."""

    op: str
    threshold: Fraction
    severity: str
    for_s: int
    tick_s: int
    quiet_at: Fraction | None = None
    fires_at: Fraction | None = None


def _counted(quiet_at: str, fires_at: str) -> dict[str, Fraction]:
    return {"quiet_at": Fraction(quiet_at), "fires_at": Fraction(fires_at)}


BYTE_OF_MEMORY = Fraction(100, 16_000_000_000)
BYTE_OF_DISK = Fraction(100, 500_000_000_000)
NINE = {
    "HighCPUUsage": Meant(">", Fraction(80), "warning", 300, 30, Fraction(80), Fraction(math.nextafter(80, 100))),
    "HighMemoryUsage": Meant(">", Fraction(85), "warning", 300, 30, Fraction(85), 85 + BYTE_OF_MEMORY),
    "LowDiskSpace": Meant("<", Fraction(15), "critical", 300, 30, Fraction(15), 15 - BYTE_OF_DISK),
    "HighErrorRate": Meant(">", Fraction(5), "critical", 300, 30, **_counted("5", "5.01")),
    "SlowResponseTime": Meant(">", Fraction(1), "warning", 300, 30),
    "ServiceDown": Meant(">=", Fraction(1), "critical", 60, 30, **_counted("0", "1")),
    "NoActiveStreams": Meant("==", Fraction(0), "warning", 600, 60, **_counted("1", "0")),
    "HighCameraOfflineRate": Meant(">", Fraction(20), "warning", 300, 60, **_counted("20", "20.1")),
    "RecordingFailures": Meant(">", Fraction(1, 10), "critical", 300, 60),
}


@contextmanager
def opened(kind: str, version: str, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """One engine of this kind and version."""
    prometheus = binary_of("prometheus", version)
    if kind == "process":
        with ProcessEngine(prometheus) as engine:
            yield engine
        return
    found = probe_container_engine()
    if not found.found:
        refuse_to_skip(f"no container engine: {found.problem}")
    builder: ModuleType = request.getfixturevalue("image_builder")
    with ContainerEngine(builder.build(prometheus), pull=False) as engine:
        yield engine


def facts_of(result: AlertResult) -> dict[str, object]:
    """What must be the same for every alert, in one comparable piece."""
    measured = result.measured
    return {
        "verdict": result.verdict.value,
        "reasons": result.reasons,
        "confirmed by promtool": result.confirmed,
        "fires after": measured.fires_after_ms,
        "too short": measured.too_short_ms,
        "resolves after": measured.resolves_after_ms,
        "situations that end otherwise": [s.name for s in result.situations if not s.ok],
        "severity": result.labels.get("severity"),
    }


def meant_of(meant: Meant) -> dict[str, object]:
    return {
        "verdict": "exact",
        "reasons": [],
        "confirmed by promtool": True,
        "fires after": meant.for_s * 1000,
        "too short": (meant.for_s - meant.tick_s) * 1000,
        "resolves after": 0,
        "situations that end otherwise": [],
        "severity": meant.severity,
    }


def check_boundary(name: str, meant: Meant, result: AlertResult) -> None:
    boundary = result.measured.boundary
    assert boundary is not None, name
    if meant.quiet_at is not None:
        assert (boundary.quiet_at, boundary.fires_at) == (meant.quiet_at, meant.fires_at), name
        assert boundary.ulps == 0, name
        return
    quiet, fires = float(boundary.quiet_at), float(boundary.fires_at)
    assert fires == math.nextafter(quiet, math.inf), f"{name}: not adjacent"
    assert abs(fires - float(meant.threshold)) <= 4 * math.ulp(float(meant.threshold)), name


def check_meeting(name: str, meant: Meant, found: Measurement) -> None:
    """In some world both sides are the same double; there `>` and `<` are quiet, `>=` and `==` fire."""
    assert found.equal, f"{name}: no world in which the expression meets the threshold"
    fires = {equal.fires for equal in found.equal}
    assert fires == {meant.op in (">=", "==")}, name


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["process", pytest.param("docker", marks=pytest.mark.docker)])
def test_the_nine_are_exact(
    kind: str, version: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    measurements: dict[str, Measurement] = {}

    class Remembering(Measurer):
        def measure(self, contract: Contract, located: LocatedAlert) -> Measurement:
            found = measurements[contract.alert.value] = super().measure(contract, located)
            return found

    monkeypatch.setattr("harness.proof.prove.Measurer", Remembering)
    files = load_rules(sorted((ROOT / "rules").glob("*.yml")))
    contracts = load_contracts(sorted((ROOT / "rules" / "contracts").glob("*.yml")))
    promtool = Promtool(binary_of("promtool", version))
    with opened(kind, version, request) as engine:
        assert engine.kind == kind
        assert engine.version.startswith(f"{version}.")
        results = {result.alert: result for result in Proof(files, contracts, engine, promtool).run()}
    assert {name: facts_of(result) for name, result in results.items()} == {
        name: meant_of(meant) for name, meant in NINE.items()
    }
    for name, meant in NINE.items():
        check_boundary(name, meant, results[name])
        check_meeting(name, meant, measurements[name])


def test_the_contracts_say_what_the_table_says() -> None:
    contracts = {c.alert.value: c for c in load_contracts(sorted((ROOT / "rules" / "contracts").glob("*.yml")))}
    assert {name: (c.op.value, c.threshold, c.severity, c.hold_ms) for name, c in contracts.items()} == {
        name: (meant.op, meant.threshold, meant.severity, meant.for_s * 1000) for name, meant in NINE.items()
    }
    assert all(contract.situations for contract in contracts.values())
