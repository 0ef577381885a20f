"""One arm in real time: driver (simulated or yours), safety node, and what learns."""

from launch.actions import DeclareLaunchArgument, RegisterEventHandler, Shutdown
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.substitutions import EnvironmentVariable as Env
from launch.substitutions import LaunchConfiguration as Use
from launch.substitutions import PathJoinSubstitution, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

HOME = Env('ROS_HOME', default_value=[Env('HOME', default_value='.'), '/.ros'])
TASK = PathJoinSubstitution([FindPackageShare('nrl_ros'), 'config', Use('robot')])
ARGUMENTS = {
    'robot': ('ur5e', 'Robot and task: config/robots/ROBOT.yaml and config/ROBOT.yaml'),
    'robot_file': (Use('robot'), 'Path of a robot description of your own, instead of that one'),
    'sim': ('true', 'Start the simulated driver; false: the driver of your robot is running'),
    'speed_share': ('1.0', 'Share of the described speeds that is allowed; 0.1 at first'),
    'dry_run': ('false', 'Compute and show commands, send none'),
    'evaluate': ('false', 'Act without noise and learn nothing'),
    'realtime': ('true', 'Real-time priority for what commands the arm, where it is permitted'),
    'params_file': ([TASK, '.yaml'], 'Parameters of the nodes; default: the file of the task'),
    'overrides_file': (Use('params_file'), 'Parameters read after params_file, so that these win'),
    'namespace': ('', 'Namespace of the nodes, and of the topics of the robot'),
    'enclave': ('/nrl_ros', 'Where the keys of each node are: ENCLAVE/safety and so on'),
    'log_level': ('info', 'Least severity that is logged'),
    'checkpoint_folder': ([HOME, '/nrl_ros/', Use('robot')], 'Where it saves; empty: nowhere'),
    'load': (Use('checkpoint_folder'), 'Checkpoint, or folder of them, to continue from'),
}
# Under SCHED_FIFO, higher ones first.
ORDER = {'arm_driver': 65, 'safety': 60, 'environment': 55, 'learner': 50, 'neuromodulator': 0}
WANTED = ["'", Use('realtime'), "' == 'true' and "]
FIFO = {
    name: {'realtime_priority': ParameterValue(PythonExpression([*WANTED, f'{priority} or 0']))}
    for name, priority in ORDER.items()
}
LOG = ['--log-level', Use('log_level'), '--enclave']
OWN = {n: {'name': n, 'ros_arguments': [*LOG, [Use('enclave'), f'/{n}']]} for n in ORDER}
# Time to save what was learned, on a slow disk too.
AGAIN = {'respawn': True, 'respawn_delay': 2.0, 'sigterm_timeout': '30', 'sigkill_timeout': '30'}
LIMITED = {'log_level': ['debug', 'info', 'warn', 'error', 'fatal'], 'realtime': ['true', 'false']}


def generate_launch_description() -> LaunchDescription:
    """The nodes; an arm whose safety node ends may move on: it is brought to rest, and all ends."""
    arguments = [
        DeclareLaunchArgument(key, default_value=value, description=text, choices=LIMITED.get(key))
        for key, (value, text) in ARGUMENTS.items()
    ]
    files = [
        ParameterFile(Use(key), allow_substs=True) for key in ('params_file', 'overrides_file')
    ]
    common = {
        'package': 'nrl_ros',
        'namespace': Use('namespace'),
        'output': 'screen',
        'additional_env': {'NRL_UDP_ONLY': '1'},  # Who is killed must not hold up the others.
    }
    robot = {'robot': ParameterValue(Use('robot_file'), value_type=str)}
    share = ParameterValue(Use('speed_share'), value_type=float)
    rated = robot | FIFO['safety'] | {'speed_share': share, 'dry_run': Use('dry_run')}
    safety = Node(executable='safety', parameters=[*files, rated], **common, **OWN['safety'])
    driver = Node(
        executable='arm_driver',
        parameters=[*files, robot | FIFO['arm_driver']],
        condition=IfCondition(Use('sim')),
        **(common | OWN['arm_driver']),
    )
    load = ParameterValue(Use('load'), value_type=str)
    folder = ParameterValue(Use('checkpoint_folder'), value_type=str)
    checkpoint = {'folder': folder, 'load': load}
    bridge = {'name': 'ros2_control_arm', 'instances': 1, 'options': robot}
    own = {
        'learner': {'checkpoint': checkpoint, 'evaluate': Use('evaluate')},
        'neuromodulator': {'load': load, 'critic': {'folder': folder}},
        'environment': {'bridge': bridge, 'mode': 'realtime', 'stop': {'steps': 0}},
    }
    learning = [
        Node(
            executable=name, parameters=[*files, more | FIFO[name]], **common, **AGAIN, **OWN[name]
        )
        for name, more in own.items()
    ]
    at_rest = rated | {'only_rest': True}
    rest = Node(executable='safety', parameters=[*files, at_rest], **common, **OWN['safety'])
    bring_to_rest = lambda _, context: None if context.is_shutdown else rest  # noqa: E731
    ended = [Shutdown(reason='the safety node has ended')]
    ends = [
        RegisterEventHandler(OnProcessExit(target_action=target, on_exit=actions))
        for target, actions in ((safety, bring_to_rest), (rest, ended))
    ]
    return LaunchDescription([*arguments, *ends, safety, driver, *learning])
