"""Limits, motion filter and supervisor of a real arm: no ROS, no files, no clock.

docs/safety.md says what they check and promise.
"""
