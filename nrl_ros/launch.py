"""The common part of launch files: arguments that all of them take, and nodes that use them.

``ros2 launch`` may run in a Python that lacks the packages of the nodes. Therefore this module
imports only the launch stack.
"""

from __future__ import annotations

from typing import Any

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable as Env
from launch.substitutions import LaunchConfiguration as Use
from launch.substitutions import PathJoinSubstitution, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

# Times for a node that saves something when it ends, perhaps to a slow disk, and for its restart
# [s].
SAVES = {'sigterm_timeout': '30', 'sigkill_timeout': '30', 'respawn_delay': 2.0}
# What an environment and its learner tell each other (nrl_ros/ros/names.py, which needs ROS).
LEARNING_TOPICS = (
    'env_info',
    'state',
    'action',
    'reward',
    'neuromodulation',
    'episodes',
    'env_status',
)
RECORD = DeclareLaunchArgument(
    'record',
    default_value='false',
    choices=['true', 'false'],
    description='Record all topics to a folder below recordings_folder',
)
TASK = DeclareLaunchArgument(
    'task',
    default_value='reaching',
    choices=[
        'cartpole',
        'acrobot',
        'reaching',
        'camera',
        'planar',
        'ur5e',
        'fr3',
        'ur5e_pose',
        'fr3_pose',
        'ur5e_obstacles',
        'ur5e_cell',
    ],
    description='Task whose configuration is taken',
)

PAGE = DeclareLaunchArgument(
    'page',
    default_value='false',
    choices=['true', 'false'],
    description='Show the run on a live page for browsers on this machine',
)


def common_arguments(
    subject: str, load: Any = '', folder_end: Any = ''
) -> list[DeclareLaunchArgument]:
    """Return the arguments that every launch file takes.

    Args:
        subject: name of the argument that names the configuration.
        load: default of the argument of that name.
        folder_end: end of the name of the default folder of checkpoints.
    """
    home = Env('ROS_HOME', default_value=[Env('HOME', default_value='.'), '/.ros'])
    file = PathJoinSubstitution([FindPackageShare('nrl_ros'), 'config', Use(subject)])
    described = {
        'params_file': (
            [file, '.yaml'],
            f'Parameters of the nodes; default: the file of the {subject}',
        ),
        'overrides_file': (
            Use('params_file'),
            'Parameters read after params_file, so that these win; by default none',
        ),
        'namespace': ('', 'Namespace of the nodes and of their topics'),
        'enclave': ('/nrl_ros', 'Enclave with the keys of the nodes: ENCLAVE/learner and so on'),
        'log_level': ('info', 'Lowest severity that is logged'),
        'checkpoint_folder': (
            [home, '/nrl_ros/', Use(subject), folder_end],
            'Folder for checkpoints; empty: nothing is saved',
        ),
        'load': (load, 'Checkpoint, or folder of them, to continue from'),
    }
    choices = {'log_level': ['debug', 'info', 'warn', 'error', 'fatal']}
    return [
        DeclareLaunchArgument(
            name, default_value=default, description=text, choices=choices.get(name)
        )
        for name, (default, text) in described.items()
    ]


def text(argument: str) -> ParameterValue:
    """Return the value of an argument as text, even if it looks like a number."""
    return ParameterValue(Use(argument), value_type=str)


def parameter_files(*between: Any) -> list[ParameterFile]:
    """Return the parameter files that the arguments name; the last one wins.

    Args:
        between: files that are read after ``params_file`` and before ``overrides_file``.
    """
    files = Use('params_file'), *between, Use('overrides_file')
    return [ParameterFile(file, allow_substs=True) for file in files]


def file_if(argument: str, *path: str, value: str = 'true') -> PythonExpression:
    """Return a file below config if an argument has a value, else params_file, which comes first.

    Args:
        argument: its name.
        path: of the file.
        value: of the argument.
    """
    file = PathJoinSubstitution([FindPackageShare('nrl_ros'), 'config', *path])
    return if_is(argument, file, Use('params_file'), value=value)


def if_is(
    argument: str, then: Any, otherwise: Any = '', *, value: str = 'true'
) -> PythonExpression:
    """Return one of two texts: the first if an argument has a value."""
    chosen = ["'", then, "' if '", Use(argument), f"' == '{value}' else '", otherwise, "'"]
    return PythonExpression(chosen)


def both_false(*switches: str) -> PythonExpression:
    """Return whether all arguments are empty or 'false'."""
    values = [part for name in switches for part in ("'", Use(name), "', ")]
    return PythonExpression(['not {', *values, "} - {'', 'false'}"])


def learning_topics(argument: str) -> list[tuple[str, Any]]:
    """Return remappings of the topics of learning into the namespace that an argument names.

    If it is empty they stay where they are.
    """
    named = ["'", Use(argument), "'"]
    below = PythonExpression([*named, ".rstrip('/') + '/' * bool(", *named, ')'])
    return [(topic, [below, topic]) for topic in LEARNING_TOPICS]


def shipped(*path: str) -> ParameterFile:
    """Return a parameter file that comes with this package, with the launch arguments in it."""
    folder = FindPackageShare('nrl_ros')
    return ParameterFile(PathJoinSubstitution([folder, *path]), allow_substs=True)


def node(executable: str, parameters: list[Any], **more: Any) -> Node:
    """Return a node of this package with name, log level and enclave from the common arguments.

    Args:
        executable: its program, which is also its name and the end of its enclave.
        parameters: files and values; later ones win.
        more: further arguments of ``launch_ros.actions.Node``; they replace the common ones.
    """
    usual = {
        'name': executable,
        'namespace': Use('namespace'),
        'output': 'screen',
        'ros_arguments': [
            '--log-level',
            Use('log_level'),
            '--enclave',
            [Use('enclave'), f'/{executable}'],
        ],
    }
    return Node(package='nrl_ros', executable=executable, parameters=parameters, **(usual | more))


def recorder(files: list[ParameterFile], **more: Any) -> list[Any]:
    """Return the recorder of a run, which starts if the argument record is 'true', and arguments.

    It asks the learner for a checkpoint, since the run may have begun before it hears all of it.

    Args:
        files: parameter files.
        more: see ``node``.
    """
    root = [Env('ROS_HOME', default_value=[Env('HOME', default_value='.'), '/.ros'])]
    folder = DeclareLaunchArgument(
        'recordings_folder',
        default_value=[*root, '/nrl_ros/recordings'],
        description='Folder in which recordings are made, each in a folder of its own',
    )
    told = {'root': text('recordings_folder'), 'checkpoint': True}
    wanted = IfCondition(Use('record'))
    # nrl_ros/ros/qos.py says what it is for.
    keep = SetEnvironmentVariable('NRL_RECORDED', '1', condition=wanted)
    made = node('recorder', [*files, told], condition=wanted, **SAVES, **more)
    return [RECORD, folder, keep, made]


def page(files: list[ParameterFile], robots: Any = '') -> Node:
    """Return the page of the runs in the namespace, if the argument page is 'true'.

    Args:
        files: parameter files of the run.
        robots: paths of descriptions by which arms are drawn.
    """
    told = {'within': text('namespace'), 'robots': robots}
    return node('page', [*files, told], condition=IfCondition(Use('page')))


def part(
    executable: str, told: dict[str, Any], *arguments: DeclareLaunchArgument, **more: Any
) -> LaunchDescription:
    """Return the description of one of the nodes that train on a task.

    Args:
        executable: its program.
        told: parameters that launch sets; parameter files replace them.
        arguments: launch arguments of this node only.
        more: see ``node``.
    """
    respawn = DeclareLaunchArgument(
        'respawn', default_value='false', description='Start the node again when it has ended'
    )
    started = node(
        executable,
        [told, *parameter_files()],
        respawn=Use('respawn'),
        **SAVES,
        **more,
    )
    return LaunchDescription([TASK, *common_arguments('task'), *arguments, respawn, started])
