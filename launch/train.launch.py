"""Train on a task: learner, neuromodulator and environment, until the environment has finished."""

from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.substitutions import EnvironmentVariable as Env
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, ThisLaunchFileDir
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """The three parts, with the arguments given here; when one node ends, so do the others."""
    params_file = LaunchConfiguration('params_file')
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
    ]
    parts = [
        IncludeLaunchDescription([ThisLaunchFileDir(), '/learner.launch.py']),
        IncludeLaunchDescription([ThisLaunchFileDir(), '/neuromodulator.launch.py']),
        IncludeLaunchDescription([ThisLaunchFileDir(), '/environment.launch.py']),
    ]
    end = RegisterEventHandler(
        OnProcessExit(on_exit=[Shutdown(reason='a node has ended')], handle_once=True)
    )
    return LaunchDescription([*arguments, end, *parts])
