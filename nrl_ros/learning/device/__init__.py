"""Learning on one device, in tensors of torch: the whole loop without messages (docs/device.md)."""
