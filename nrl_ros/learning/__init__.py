"""The science: no ROS, no files, no clock."""
