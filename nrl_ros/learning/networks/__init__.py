"""Policy networks: what they are made of, and their clean and noisy passes."""
