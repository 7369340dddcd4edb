"""The faults of a scenario, switched on a running stack."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from fractions import Fraction

import requests

from harness.engines.base import new_session
from harness.errors import EngineError
from harness.stack.runtime import Runtime
from harness.stack.scenarios.load import Traffic
from harness.stack.scenarios.scenario import Fault, ScenarioMoment

_TRIES = 20
_POLL_S = 0.2


class FaultSwitch:
    """What goes wrong, at the service (errors, latency, failing recordings, death) and on the side of its users."""

    def __init__(self, runtime: Runtime, traffic: Traffic) -> None:
        self._runtime = runtime
        self._traffic = traffic
        self._session = new_session()
        self._session.headers["Authorization"] = f"Bearer {runtime.tokens.faults}"
        self._switched = False
        self._down = False

    def apply(self, moment: ScenarioMoment) -> None:
        """Do what happens at this moment of the scenario. Raises EngineError if the service does not take it."""
        if moment.faults is not None:
            silent = max((fault.cameras_silent for fault in moment.faults), default=Fraction(0))
            self._traffic.silence(float(silent))
            self._traffic.end_streams(any(fault.streams_ended for fault in moment.faults))
            self._switch(moment.faults)
        if moment.alive is False:
            self._down = True
            self._runtime.kill("streaming")
        elif moment.alive:
            self._start()

    def clear(self) -> None:
        """The service lives and behaves again."""
        if self._down:
            self._start()
        if self._switched:
            self._switch(())

    def _start(self) -> None:
        self._runtime.start("streaming")
        self._down = False

    def _switch(self, active: Sequence[Fault]) -> None:
        """Make the service misbehave as these faults say, taken together."""
        slow = max(active, key=lambda fault: fault.latency_s, default=None)
        wanted: dict[str, float] = {
            "error_ratio": float(max((fault.error_ratio for fault in active), default=Fraction(0))),
            "latency_s": float(slow.latency_s) if slow else 0.0,
            "latency_ratio": float(slow.latency_ratio) if slow else 1.0,
            "recording_failure_ratio": float(max((fault.recording_failures for fault in active), default=Fraction(0))),
        }
        if any(value for name, value in wanted.items() if name != "latency_ratio"):
            self._switched = True
            self._ask("PUT", wanted)
        elif self._switched:
            self._switched = False
            self._ask("DELETE")

    def _ask(self, method: str, body: Mapping[str, float] | None = None) -> None:
        for _ in range(_TRIES):
            try:
                answer = self._session.request(
                    method, f"{self._runtime.url('streaming')}/faults", json=body, timeout=5, allow_redirects=False
                )
            except requests.RequestException:
                time.sleep(_POLL_S)  # it may just be starting again
                continue
            if answer.ok:
                return
            raise EngineError(
                f"the streaming service answers {answer.status_code} at {method} /faults",
                hint="faults exist only with STREAMING_FAULTS=1 and a token; `stack up` sets both",
            )
        raise EngineError("the streaming service does not take faults: it does not answer", hint="look at `stack logs`")
