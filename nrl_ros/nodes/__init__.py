"""The three nodes: thin shells around the core."""
