"""Robots: their safety, and the arms that a policy can be trained on and run on."""
