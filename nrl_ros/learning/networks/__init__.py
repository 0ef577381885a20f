"""Policy networks: their weights, and their clean and noisy passes."""
