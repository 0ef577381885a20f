"""Environments: what one promises, its episodes and credit windows, and its registry."""
