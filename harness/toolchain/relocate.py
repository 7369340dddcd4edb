"""A program whose package put its files at a fixed absolute path, made to find them elsewhere without root.

Debian compiles the folder of Alertmanager's templates into the binary. There the path is replaced by a relative one of
the same length, so nothing else of the file moves; started in the folder of the templates, the program finds them.
Conda relocates its packages in the same way. Only our own copy is changed, after apt has checked its signature.
"""

from __future__ import annotations

from pathlib import Path


def relocate(binary: Path, folder: str) -> bool:
    """Replace the absolute path `folder` inside a binary by the current directory; False if it does not hold it."""
    old = folder.encode()
    new = b"./" * (len(old) // 2) + b"/" * (len(old) % 2)
    content = binary.read_bytes()
    if old not in content:
        return False
    binary.write_bytes(content.replace(old, new))
    return True
