"""Robots: their safety, and the arms that a policy is trained on and run on."""
