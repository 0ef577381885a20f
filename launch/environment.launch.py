"""Start an environment; a learner needs no settings of it."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration

from nrl_ros.launch import part, text


def generate_launch_description() -> LaunchDescription:
    """Return the environment; it starts by itself unless its parameter `autostart` is false."""
    node_name = DeclareLaunchArgument(
        'node_name',
        default_value='environment',
        description='Name of the node and of its section in the parameter files',
    )
    saved = {'checkpoint.folder': text('checkpoint_folder')}
    return part('environment', saved, node_name, name=LaunchConfiguration('node_name'))
