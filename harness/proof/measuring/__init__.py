"""One rule over worlds of its contract: its boundary, what flips there, when it fires, and why it does not."""
