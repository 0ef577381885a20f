"""Plasticity health: is what the learner does such that it can learn, and what to change if not."""
