"""The scrape targets as Prometheus sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import requests

from harness.engines.base import new_session
from harness.errors import EngineError
from harness.stack.configs import Scraped
from harness.stack.runtime import Health, Target

_TIMEOUT_S = 10.0


def read_targets(prometheus: str, wanted: Sequence[Scraped], absent: Mapping[str, str]) -> list[Target]:
    """Each wanted target with its health now; ``absent`` are reasons, by service, why one is not part of the stack.

    Raises EngineError if Prometheus does not answer.
    """
    try:
        with new_session() as session:
            answer = session.get(f"{prometheus}/api/v1/targets", params={"state": "active"}, timeout=_TIMEOUT_S)
        active = answer.json()["data"]["activeTargets"]
    except (requests.exceptions.RequestException, ValueError, KeyError, TypeError) as err:
        raise EngineError(
            "Prometheus does not answer, so nobody knows how the targets are",
            hint="`alert-harness stack logs prometheus` shows why",
        ) from err
    seen = {(each["labels"].get("job"), each["labels"].get("instance")): each for each in active}
    return [_target(each, seen.get((each.job, each.instance)), absent) for each in wanted]


def _target(wanted: Scraped, found: Mapping[str, str] | None, absent: Mapping[str, str]) -> Target:
    if wanted.service in absent:
        return Target(wanted.job, wanted.service, Health.ABSENT, absent[wanted.service])
    if found is None or found.get("health") == "unknown":
        return Target(wanted.job, wanted.service, Health.WAITING, "not scraped yet")
    if found.get("health") == "up":
        return Target(wanted.job, wanted.service, Health.UP)
    return Target(wanted.job, wanted.service, Health.DOWN, str(found.get("lastError") or "the scrape failed"))
