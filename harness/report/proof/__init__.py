"""The documents of a proof."""
