"""Train on a task: learner, neuromodulator and environment, until the environment has finished."""

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessExit
from launch.substitutions import ThisLaunchFileDir

from nrl_ros.launch import TASK, common_arguments

PARTS = ('learner', 'neuromodulator', 'environment')


def generate_launch_description() -> LaunchDescription:
    """Return the three nodes, with the arguments given here; if one ends, all end."""
    parts = [
        IncludeLaunchDescription([ThisLaunchFileDir(), f'/{name}.launch.py']) for name in PARTS
    ]
    end = RegisterEventHandler(
        OnProcessExit(on_exit=[Shutdown(reason='a node has ended')], handle_once=True)
    )
    return LaunchDescription([TASK, *common_arguments('task'), end, *parts])
