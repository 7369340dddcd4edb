"""The documents of a played scenario."""
