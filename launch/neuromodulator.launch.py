"""Start a neuromodulator, which turns rewards into reward-prediction errors."""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import EnvironmentVariable as Env
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """The neuromodulator; starts by itself unless its parameter `autostart` is false."""
    params_file = LaunchConfiguration('params_file')
    overrides_file = LaunchConfiguration('overrides_file')
    home = Env('ROS_HOME', default_value=[Env('HOME', default_value='.'), '/.ros'])
    task_file = PathJoinSubstitution(
        [FindPackageShare('nrl_ros'), 'config', LaunchConfiguration('task')]
    )
    arguments = [
        DeclareLaunchArgument(
            'task',
            default_value='reaching',
            choices=['cartpole', 'acrobot', 'reaching', 'planar', 'ur5e', 'fr3'],
            description='Task whose configuration is taken',
        ),
        DeclareLaunchArgument(
            'params_file',
            default_value=[task_file, '.yaml'],
            description='Parameters of the nodes; the default is the file of the task',
        ),
        DeclareLaunchArgument(
            'overrides_file',
            default_value=params_file,
            description='Parameters read after params_file, so that these win; by default none',
        ),
        DeclareLaunchArgument('namespace', default_value='', description='Namespace of the nodes'),
        DeclareLaunchArgument(
            'enclave', default_value='/nrl_ros', description='Where the keys of each node are'
        ),
        DeclareLaunchArgument(
            'log_level',
            default_value='info',
            choices=['debug', 'info', 'warn', 'error', 'fatal'],
            description='Least severity that is logged',
        ),
        DeclareLaunchArgument(
            'checkpoint_folder',
            default_value=[home, '/nrl_ros/', LaunchConfiguration('task')],
            description='Where what was learned is saved; empty: nowhere',
        ),
        DeclareLaunchArgument(
            'load', default_value='', description='Checkpoint, or folder of them, to continue from'
        ),
        DeclareLaunchArgument(
            'respawn', default_value='false', description='Start the node again when it has ended'
        ),
    ]
    # Comes first: what a file says of it wins.
    saved = {
        'load': ParameterValue(LaunchConfiguration('load'), value_type=str),
        'critic.folder': ParameterValue(LaunchConfiguration('checkpoint_folder'), value_type=str),
    }
    node = Node(
        package='nrl_ros',
        executable='neuromodulator',
        name='neuromodulator',
        namespace=LaunchConfiguration('namespace'),
        parameters=[
            saved,
            *(ParameterFile(file, allow_substs=True) for file in (params_file, overrides_file)),
        ],
        respawn=LaunchConfiguration('respawn'),
        respawn_delay=2.0,
        ros_arguments=[
            '--log-level',
            LaunchConfiguration('log_level'),
            '--enclave',
            [LaunchConfiguration('enclave'), '/neuromodulator'],
        ],
        output='screen',
    )
    return LaunchDescription([*arguments, node])
