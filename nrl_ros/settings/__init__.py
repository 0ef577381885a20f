"""Settings: one pydantic model per node, checked before anything is built."""
