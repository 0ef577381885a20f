"""Environments for nrl_ros, found by name: Gymnasium, the paper's reaching task, a scripted one."""
