"""The public face: what a program of one's own needs, behind the names of :mod:`harness`."""
