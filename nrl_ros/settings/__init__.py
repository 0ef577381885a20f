"""Settings: one pydantic model for each node, checked before anything is built."""
