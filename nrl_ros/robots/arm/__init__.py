"""Arms without ROS: their models, kinematics, clearance, and what stands in for their motors.

``model`` reads MJCF and URDF, ``kinematics`` computes many poses at once, ``clearance`` how far an
arm is from itself. MuJoCo is imported when a model is read, not before.
"""
