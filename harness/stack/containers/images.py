"""Whether containers can be had: an engine, compose, and the images of the stack."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from harness.errors import EngineError
from harness.stack.configs import StackFolder
from harness.stack.containers.command import Compose
from harness.stack.containers.files import BUILT, PASSWORDS, env_files_of
from harness.stack.containers.reaper import sweep as sweep_projects
from harness.stack.runtime import Progress
from harness.stack.spec import Spec
from harness.toolchain import probe_container_engine


def left_out(model: Mapping[str, Any]) -> dict[str, str]:
    """Services that a scale of 0 leaves out, with the reason."""
    return {
        name: f"{name.upper().replace('-', '_')}_SCALE is 0"
        for name, each in model["services"].items()
        if each.get("scale") == 0
    }


def check(spec: Spec, progress: Progress) -> None:
    """Raises EngineError with one line if containers cannot be had: no engine, no compose, no image.

    What killed runs left is ended first.
    """
    import docker

    found = probe_container_engine()
    if not found.found:
        raise EngineError(f"no container engine is up: {found.problem}", hint=found.todo or None)
    stack = StackFolder(spec.config)
    compose = Compose(stack.compose_file, (*env_files_of(stack),), _checking(stack))
    model = compose.model()
    client = docker.from_env(timeout=30)
    try:
        sweep_projects(client)
        here = {tag for image in client.api.images() for tag in image.get("RepoTags") or ()}
    finally:
        client.close()
    _get_images(compose, model, here, progress)


def _checking(stack: StackFolder) -> dict[str, str]:
    """Stand-ins for passwords where there are none yet: no image depends on them."""
    return {} if (stack.path / ".env").exists() else dict.fromkeys(PASSWORDS, "unset")


def _get_images(compose: Compose, model: Mapping[str, Any], here: set[str], progress: Progress) -> None:
    """Pull and build what is not among those that are here."""
    wanted = {each["image"]: name for name, each in model["services"].items() if name not in left_out(model)}
    missing = {image: name for image, name in wanted.items() if image not in here}
    # Built anew each time, for its source may have changed; unless the image is somebody else's.
    built = model["services"][BUILT]["image"]
    pulled = [name for image, name in missing.items() if image != built]
    if pulled:
        progress(f"pulling the images of {', '.join(pulled)}")
        compose.run("pull", "--quiet", *pulled, timeout_s=1800)
    if "STREAMING_IMAGE" not in os.environ and built.endswith(":local"):
        progress("building the image of the streaming service")
        compose.run("build", "--quiet", BUILT, timeout_s=1800)
    elif built in missing:
        raise EngineError(f"the image {built} is not here", hint="build it, or leave STREAMING_IMAGE unset")
