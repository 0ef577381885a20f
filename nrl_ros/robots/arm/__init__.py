"""Arms without ROS: their models, kinematics and clearance, and simulated motors.

``model`` reads MJCF and URDF, ``kinematics`` computes many poses at once, ``clearance`` measures
the distance of an arm from itself. MuJoCo is imported only when a model is read.
"""
