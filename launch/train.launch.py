"""Train on a task: learner, neuromodulator and environment, until the environment has finished."""

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessExit
from launch.substitutions import ThisLaunchFileDir

from nrl_ros.launch import (
    PAGE,
    TASK,
    common_arguments,
    page,
    parameter_files,
    recorder,
)

PARTS = ('learner', 'neuromodulator', 'environment')


def generate_launch_description() -> LaunchDescription:
    """Return the three nodes, and a recorder; if one ends that is no recorder, all end."""
    parts = [
        IncludeLaunchDescription([ThisLaunchFileDir(), f'/{name}.launch.py']) for name in PARTS
    ]
    *arguments, recording = recorder(parameter_files())
    shown = page(parameter_files())
    end = RegisterEventHandler(
        OnProcessExit(
            # A recorder or a page that ends early leaves the training alone.
            target_action=lambda action: action not in (recording, shown),
            on_exit=[Shutdown(reason='a node has ended')],
            handle_once=True,
        )
    )
    # The recorder comes first, so that it hears more of the begin.
    shared = [TASK, *common_arguments('task'), *arguments, PAGE]
    return LaunchDescription([*shared, end, recording, shown, *parts])
