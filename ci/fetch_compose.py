"""Install Docker's compose plugin from Debian's newest packages: python ci/fetch_compose.py FOLDER

Older distributions have compose 1, which is another program. The plugin is one binary; apt checks its signature.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # from a checkout that is not installed

from debian_root import content, fetch

from harness.errors import HarnessError

PLUGIN = "./usr/libexec/docker/cli-plugins/docker-compose"


def main() -> int:
    """0, or the exit status of the error."""
    target = Path(sys.argv[1]) / "docker-compose"
    try:
        with tempfile.TemporaryDirectory(prefix="alert-harness-compose-") as scratch:
            packages = fetch(["docker-compose"], Path(scratch), newest=True, dependencies=False)
            plugin = next(content(packages.files[0], PLUGIN))
    except HarnessError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.exit_code
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".new")
    draft.write_bytes(plugin)
    draft.chmod(0o755)
    shutil.move(draft, target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
