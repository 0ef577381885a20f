"""Environments for nrl_ros, found by name: Gymnasium, some tasks as arrays, a scripted one."""
