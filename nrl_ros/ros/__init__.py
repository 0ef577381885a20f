"""Adapters between ROS 2 and the packages that do not know ROS."""
