"""Tests without ROS."""
