"""Simulated environments for nrl_ros, found by name: Gymnasium, array tasks, a scripted one."""
