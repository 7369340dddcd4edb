"""The stack as containers, by docker compose."""
