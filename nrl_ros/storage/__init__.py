"""Checkpoints as files: msgpack with a versioned header, written atomically, never unpickled."""
