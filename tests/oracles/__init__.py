"""References in plain numpy, which compiled code must equal: slow, and easy to check by reading."""
