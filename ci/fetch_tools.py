"""Fetch the tools that the tests need, in both versions, or print where one is.

python ci/fetch_tools.py                       both versions of prometheus and promtool, into the user's cache
python ci/fetch_tools.py --print prometheus    the path of the newer one
"""

from __future__ import annotations

import argparse
import sys

from harness.errors import HarnessError
from harness.toolchain import Toolchain

VERSIONS = ("3.5", "2.53")
"""The two long-term lines on which the nine alerts are proved."""


def main() -> int:
    """0, or the exit status of the error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--print", dest="name", metavar="TOOL", help="print the path of this tool instead")
    options = parser.parse_args()
    try:
        if options.name:
            print(Toolchain(versions={"prometheus": VERSIONS[0]}).find(options.name).path)
            return 0
        for version in VERSIONS:
            tools = Toolchain(versions={"prometheus": version}, progress=lambda line: print(line, file=sys.stderr))
            for name in ("prometheus", "promtool"):
                print(f"{name} {tools.find(name).version_text}")
    except HarnessError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
