"""What `docker compose` is given beside the stack's own file: variables, passwords, marks of ownership, the clock."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.engines.container import OWNER_LABEL
from harness.engines.owner import Owner
from harness.errors import InputError
from harness.stack.configs import StackFolder, write_rules, write_yaml
from harness.stack.services import SERVICES
from harness.stack.spec import WEBHOOK_VARIABLE, Spec, new_tokens, write_private
from harness.stack.streaming import clock_variables

ENV_FILES = "ALERT_HARNESS_STACK_ENV"
"""Names a further env file for compose, for instance build/stack-images.env with local images."""

BUILT = "streaming"
"""The one service whose image is built here."""
COMPRESSED = "compressed.yaml"
PASSWORDS = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "GRAFANA_PASSWORD")
# The only value that has no `:?` in compose.yaml and yet must be there.
_SINK_URL = "http://sink:9095/"


def env_files_of(stack: StackFolder) -> Iterator[str]:
    """Later ones win."""
    own = stack.path / ".env"
    if own.exists():
        yield str(own.resolve())
    more = os.environ.get(ENV_FILES, "")
    if more:
        if not Path(more).is_file():
            raise InputError(f"{ENV_FILES}: {more} does not exist", hint="`python ci/images.py` makes one")
        yield str(Path(more).resolve())


def make_env_file(file: Path) -> None:
    """An env file with passwords and tokens that nobody knows, for our eyes only."""
    tokens = new_tokens()
    lines = [
        "# Made by `alert-harness stack up`. Keep it as long as the volumes: the database remembers its password.",
        *(f"{name}={secrets.token_hex(24)}" for name in PASSWORDS),
        f"{WEBHOOK_VARIABLE}={_SINK_URL}",
        f"STREAMING_WEBHOOK_TOKEN={tokens.webhook}",
        "STREAMING_FAULTS=1",
        f"STREAMING_FAULTS_TOKEN={tokens.faults}",
    ]
    write_private(file, "\n".join(lines) + "\n")


def variables_of(spec: Spec, ports: Mapping[str, int]) -> dict[str, str]:
    found = {SERVICES[name].variable: str(port) for name, port in ports.items()}
    if spec.webhook_url:
        found[WEBHOOK_VARIABLE] = spec.webhook_url
    return found


def owned(stack: StackFolder, folder: Path) -> Path:
    """A compose file that marks all that is made as ours, for the sweep of a later run."""
    model = stack.compose_model()
    labels = {"labels": {OWNER_LABEL: Owner.current().text().replace("$", "$$")}}
    file = folder / "owner.yaml"
    write_yaml(file, {kind: dict.fromkeys(model[kind], labels) for kind in ("services", "networks", "volumes")})
    return file


def compressed(stack: StackFolder, spec: Spec, folder: Path) -> Path:
    """A compose file that puts the stack on a faster clock."""
    clock = replace(spec.clock, server=stack.server())
    configs = folder / "compressed"
    configs.mkdir(mode=0o755)
    write_rules(spec.config, clock, configs / "rules")
    write_yaml(configs / "prometheus.yml", clock.prometheus(stack.prometheus()))
    write_yaml(configs / "alertmanager.yml", clock.alertmanager(stack.alertmanager()))
    # Read by the containers' own users. The folder around them is ours alone, and is not mounted.
    for path in (configs, *configs.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    base = stack.compose_model()["services"]["prometheus"]["command"]
    mounts = {
        "prometheus": {"prometheus.yml": "/etc/prometheus/prometheus.yml", "rules": "/etc/prometheus/rules"},
        "alertmanager": {"alertmanager.yml": "/etc/alertmanager/alertmanager.yml"},
    }
    services: dict[str, dict[str, Any]] = {
        name: {
            "volumes": [
                {"type": "bind", "source": str(configs / source), "target": target, "read_only": True}
                for source, target in targets.items()
            ]
        }
        for name, targets in mounts.items()
    }
    services["prometheus"]["command"] = [*base, *clock.flags()]
    services[BUILT] = {"environment": clock_variables(clock)}
    file = folder / COMPRESSED
    write_yaml(file, {"services": services})
    return file
