"""Opens COUNT connections to PORT of this machine, half a request on each, and holds them until standard input ends.

Run as a process of its own: connections take files of both ends, and a busy client must not slow whoever measures. Says
`holding N` when all stand; ends by itself after a minute.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import sys
import threading

HALF = b"GET /api/cameras HTTP/1.1\r\nHost: x\r\nX-Never-"


def main(port: int, count: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port), timeout=60)
        held.append(client)
        with contextlib.suppress(OSError):  # it may have gone again to make room
            client.sendall(HALF)
    print("holding", len(held), flush=True)
    end = threading.Timer(60, lambda: sys.stdin.close())
    end.daemon = True
    end.start()
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
