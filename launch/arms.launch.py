"""Three arms of one kind that teach one learner, each at the rates of its own robot file."""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    SetEnvironmentVariable,
)
from launch.substitutions import LaunchConfiguration as Use
from launch.substitutions import ThisLaunchFileDir

from nrl_ros.launch import common_arguments

ARMS = ('arm_0', 'arm_1', 'arm_2')
ARGUMENTS = {
    'robot': ('ur5e', 'Robot and task: config/robots/ROBOT.yaml and config/ROBOT.yaml'),
    'fleet': (Use('robot'), 'Namespace of the learner; its arms are in FLEET/arm_0 and so on'),
    'sim': ('true', 'Start simulated drivers; false: the drivers of your robots are running'),
    'speed_share': ('1.0', 'Allowed share of the described speeds; 0.1 at first'),
    'realtime': ('true', 'Real-time priority for processes that command the arms, if permitted'),
}
FILES = {
    f'robot_file_{arm}': (Use('robot'), f'Path of the description of {arm}, with its own rate')
    for arm in ARMS
}


def generate_launch_description() -> LaunchDescription:
    """Return learner and neuromodulator in the namespace of the fleet, and the arms below it."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=meaning)
        for name, (default, meaning) in (ARGUMENTS | FILES).items()
    ]
    shared = common_arguments('robot', Use('checkpoint_folder'))
    fleet = ['/', Use('fleet')]
    # The arms' processes share no memory, so their learner must not either.
    udp_only = SetEnvironmentVariable('NRL_UDP_ONLY', '1')
    learning = [
        _included(f'/{name}.launch.py', {'namespace': fleet, 'task': Use('robot')})
        for name in ('learner', 'neuromodulator')
    ]
    arms = [
        _included(
            '/arm.launch.py',
            {
                'namespace': [*fleet, f'/{arm}'],
                'agent': arm,
                'learner': fleet,
                'robot_file': Use(f'robot_file_{arm}'),
                # What was learned is the learner's, and is saved there.
                'checkpoint_folder': '',
            },
        )
        for arm in ARMS
    ]
    return LaunchDescription([*arguments, *shared, udp_only, *learning, *arms])


def _included(file: str, given: dict[str, object]) -> GroupAction:
    """Return a launch file with arguments that hold for it alone."""
    source = [ThisLaunchFileDir(), file]
    return GroupAction([IncludeLaunchDescription(source, launch_arguments=list(given.items()))])
