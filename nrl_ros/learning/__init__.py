"""The science: networks, rules, traces and learning, without ROS, files or clocks."""
