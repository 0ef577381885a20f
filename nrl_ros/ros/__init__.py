"""Adapters between ROS 2 and the packages that know nothing of ROS."""
