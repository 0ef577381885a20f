"""Online learning by noise and reward over ROS 2, without backpropagation."""

__version__ = '0.1.0'
