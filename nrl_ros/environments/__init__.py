"""Environments: their interfaces, their episodes and credit windows, and their registry."""
