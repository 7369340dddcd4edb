"""How a stack is, in words."""
