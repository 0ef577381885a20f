"""One arm in real time: its driver (simulated or real), its safety node, and the learning nodes."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, RegisterEventHandler, Shutdown
from launch.conditions import IfCondition, UnlessCondition
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration as Use
from launch.substitutions import PythonExpression
from launch_ros.parameter_descriptions import ParameterValue

from nrl_ros.launch import (
    PAGE,
    SAVES,
    both_false,
    common_arguments,
    file_if,
    if_is,
    learning_topics,
    node,
    page,
    parameter_files,
    recorder,
    shipped,
    text,
)

ARGUMENTS = {
    'robot': ('ur5e', 'Robot and task: config/robots/ROBOT.yaml and config/ROBOT.yaml'),
    'robot_file': (Use('robot'), 'Path of your own robot description; replaces robot'),
    'sim': ('true', 'Start the simulated driver; false: the driver of your robot is running'),
    'speed_share': ('1.0', 'Allowed share of the described speeds; 0.1 at first'),
    'dry_run': ('false', 'Compute and show commands, send none'),
    'evaluate': ('false', 'Act without noise and learn nothing'),
    'goals': ('beside', 'Goals of reach beside episodes; only: no episodes; never: not served'),
    'from_nothing': ('false', 'Learn alone by config/arm/from_nothing.yaml, then stand still'),
    'compose': ('false', 'Safety node and learning nodes in one process, a watchdog beside it'),
    'learner': ('', 'Namespace of a learner that the arm joins, such as /ur5e; empty: its own'),
    'agent': (Use('robot'), 'Name of this arm for its learner; no two arms of a learner share one'),
    'realtime': ('true', 'Real-time priority for processes that command the arm, if permitted'),
}
SWITCHES = ('sim', 'realtime', 'from_nothing', 'compose')
# Priorities under SCHED_FIFO; a higher one runs first.
ORDER = {'arm_driver': 50, 'watchdog': 49, 'safety': 48, 'environment': 46, 'learner': 44}
WANTED = ["'", Use('realtime'), "' == 'true' and "]
FIFO = {
    name: {'realtime_priority': ParameterValue(PythonExpression([*WANTED, f'{priority} or 0']))}
    for name, priority in (ORDER | {'neuromodulator': 0}).items()
}
# A process that is killed must not block the others, as it could through shared memory.
UDP_ONLY = {'additional_env': {'NRL_UDP_ONLY': '1'}}


def generate_launch_description() -> LaunchDescription:
    """Return the nodes. If the safety node ends, another one first brings the arm to rest."""
    arguments = [
        DeclareLaunchArgument(
            name,
            default_value=default,
            description=meaning,
            choices=['true', 'false'] if name in SWITCHES else None,
        )
        for name, (default, meaning) in ARGUMENTS.items()
    ]
    real = file_if('sim', 'arm', 'real.yaml', value='false')
    alone = file_if('from_nothing', 'arm', 'from_nothing.yaml')
    files, robot = parameter_files(real, alone), {'robot': text('robot_file')}
    share = ParameterValue(Use('speed_share'), value_type=float)
    rated = robot | FIFO['safety'] | {'speed_share': share, 'dry_run': Use('dry_run')}
    apart, together = UnlessCondition(Use('compose')), IfCondition(Use('compose'))
    safety = node('safety', [*files, rated], condition=apart, **UDP_ONLY)
    driven, simulated = [*files, robot | FIFO['arm_driver']], IfCondition(Use('sim'))
    driver = node('arm_driver', driven, condition=simulated, **UDP_ONLY)
    folder, load = text('checkpoint_folder'), text('load')
    options = robot | {'goals': {'serve': text('goals')}}
    bridge = {'name': 'ros2_control_arm', 'instances': 1, 'options': options}
    own = {
        'learner': {'checkpoint': {'folder': folder, 'load': load}, 'evaluate': Use('evaluate')},
        'neuromodulator': {'load': load, 'critic': {'folder': folder}},
        'environment': {'bridge': bridge, 'mode': 'realtime', 'stop': {'steps': 0, 'exit': False}}
        | {'agent': text('agent')},
    }
    # An arm that joins a learner starts none, and has its learning topics where the learner is.
    its_own = IfCondition(both_false('compose', 'learner'))
    more = {
        'learner': {'condition': its_own},
        'neuromodulator': {'condition': its_own},
        'environment': {'condition': apart, 'remappings': learning_topics('learner')},
    }
    saving = {**SAVES, **UDP_ONLY}
    learning = [
        node(name, [*files, told | FIFO[name]], respawn=True, **more[name], **saving)
        for name, told in own.items()
    ]
    # Its nodes keep their names.
    told = [*files, shipped('launch', 'composed_arm.yaml'), FIFO['safety']]
    composed = node('composed_arm', told, name=None, condition=together, **saving)
    watching = robot | FIFO['watchdog'] | {'speed_share': share}
    watchdog = node('watchdog', [*files, watching], condition=together, **UDP_ONLY)
    rest = node('safety', [*files, rated | {'only_rest': True}], **UDP_ONLY)
    bring_to_rest = lambda _, context: None if context.is_shutdown else rest  # noqa: E731
    ended = [Shutdown(reason='the safety node has ended')]
    ends = [
        RegisterEventHandler(OnProcessExit(target_action=target, on_exit=actions))
        for targets, actions in (((safety, composed), bring_to_rest), ((rest, watchdog), ended))
        for target in targets
    ]
    shared = common_arguments('robot', Use('checkpoint_folder'), if_is('from_nothing', '_alone'))
    nodes = [*recorder(files, **UDP_ONLY), safety, driver, watchdog, composed, *learning]
    nodes.append(page(files, robot['robot']))
    return LaunchDescription([*arguments, *shared, PAGE, *ends, *nodes])
