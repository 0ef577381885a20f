"""One arm in real time: driver (simulated or yours), safety node, and what learns."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, RegisterEventHandler, Shutdown
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration as Use
from launch.substitutions import PythonExpression
from launch_ros.parameter_descriptions import ParameterValue

from nrl_ros.launch import SAVES, common_arguments, node, parameter_files, text

ARGUMENTS = {
    'robot': ('ur5e', 'Robot and task: config/robots/ROBOT.yaml and config/ROBOT.yaml'),
    'robot_file': (Use('robot'), 'Path of a robot description of your own, instead of that one'),
    'sim': ('true', 'Start the simulated driver; false: the driver of your robot is running'),
    'speed_share': ('1.0', 'Share of the described speeds that is allowed; 0.1 at first'),
    'dry_run': ('false', 'Compute and show commands, send none'),
    'evaluate': ('false', 'Act without noise and learn nothing'),
    'realtime': ('true', 'Real-time priority for what commands the arm, where it is permitted'),
}
# Under SCHED_FIFO, higher ones first.
ORDER = {'arm_driver': 65, 'safety': 60, 'environment': 55, 'learner': 50, 'neuromodulator': 0}
WANTED = ["'", Use('realtime'), "' == 'true' and "]
FIFO = {
    name: {'realtime_priority': ParameterValue(PythonExpression([*WANTED, f'{priority} or 0']))}
    for name, priority in ORDER.items()
}
# Who is killed must not hold up the others.
UDP_ONLY = {'additional_env': {'NRL_UDP_ONLY': '1'}}


def generate_launch_description() -> LaunchDescription:
    """Return the nodes; an arm whose safety node ends may move on: it is brought to rest first."""
    arguments = [
        DeclareLaunchArgument(
            name,
            default_value=default,
            description=meaning,
            choices=['true', 'false'] if name == 'realtime' else None,
        )
        for name, (default, meaning) in ARGUMENTS.items()
    ]
    files, robot = parameter_files(), {'robot': text('robot_file')}
    share = ParameterValue(Use('speed_share'), value_type=float)
    rated = robot | FIFO['safety'] | {'speed_share': share, 'dry_run': Use('dry_run')}
    safety = node('safety', [*files, rated], **UDP_ONLY)
    driver = node(
        'arm_driver',
        [*files, robot | FIFO['arm_driver']],
        condition=IfCondition(Use('sim')),
        **UDP_ONLY,
    )
    folder, load = text('checkpoint_folder'), text('load')
    bridge = {'name': 'ros2_control_arm', 'instances': 1, 'options': robot}
    own = {
        'learner': {'checkpoint': {'folder': folder, 'load': load}, 'evaluate': Use('evaluate')},
        'neuromodulator': {'load': load, 'critic': {'folder': folder}},
        'environment': {'bridge': bridge, 'mode': 'realtime', 'stop': {'steps': 0}},
    }
    learning = [
        node(name, [*files, told | FIFO[name]], respawn=True, **SAVES, **UDP_ONLY)
        for name, told in own.items()
    ]
    rest = node('safety', [*files, rated | {'only_rest': True}], **UDP_ONLY)
    bring_to_rest = lambda _, context: None if context.is_shutdown else rest  # noqa: E731
    ended = [Shutdown(reason='the safety node has ended')]
    ends = [
        RegisterEventHandler(OnProcessExit(target_action=target, on_exit=actions))
        for target, actions in ((safety, bring_to_rest), (rest, ended))
    ]
    shared = common_arguments('robot', load=Use('checkpoint_folder'))
    return LaunchDescription([*arguments, *shared, *ends, safety, driver, *learning])
