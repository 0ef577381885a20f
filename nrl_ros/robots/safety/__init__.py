"""Limits, motion filter and supervisor of a real arm: no ROS, no files, no clock.

What they check and promise is in docs/safety.md.
"""
