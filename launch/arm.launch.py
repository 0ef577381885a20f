"""One arm in real time: driver (simulated or yours), safety, environment, learner and the rest."""

from launch.actions import DeclareLaunchArgument, RegisterEventHandler, Shutdown
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.substitutions import EnvironmentVariable as Env
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

ARGUMENTS = {
    'robot': ('ur5e', 'Robot and task: config/ROBOT.yaml and config/robots/ROBOT.yaml'),
    'robot_file': (LaunchConfiguration('robot'), 'Path of your own robot description instead'),
    'sim': ('true', 'Start the simulated driver; false: the driver of your robot is running'),
    'speed_share': ('1.0', 'Share of the described speeds that is allowed; 0.1 at first'),
    'dry_run': ('false', 'Compute and show commands, send none'),
    'evaluate': ('false', 'Act without noise and learn nothing'),
    'namespace': ('', 'Namespace of the nodes, and of the topics of the robot'),
}


def generate_launch_description() -> LaunchDescription:
    """The nodes; when the safety node ends, everything does."""
    use = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    home = Env('ROS_HOME', default_value=[Env('HOME', default_value='.'), '/.ros'])
    share = FindPackageShare('nrl_ros')
    files = {
        'params_file': (
            [PathJoinSubstitution([share, 'config', use['robot']]), '.yaml'],
            'Parameters of the nodes; the default is the file of the robot',
        ),
        'checkpoint_folder': (
            [home, '/nrl_ros/', use['robot']],
            'Where what was learned is saved; empty: nowhere',
        ),
        'load': (
            LaunchConfiguration('checkpoint_folder'),
            'Checkpoint, or folder of them, to continue from',
        ),
    }
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in (ARGUMENTS | files).items()
    ]
    robot = ParameterValue(use['robot_file'], value_type=str)
    load = ParameterValue(LaunchConfiguration('load'), value_type=str)
    folder = ParameterValue(LaunchConfiguration('checkpoint_folder'), value_type=str)
    own = {
        'learner': {
            'checkpoint.folder': folder,
            'checkpoint.load': load,
            'evaluate': ParameterValue(use['evaluate'], value_type=bool),
        },
        'neuromodulator': {'load': load},
        'environment': {
            'bridge.name': 'ros2_control_arm',
            'bridge.instances': 1,
            'bridge.options.robot': robot,
            'mode': 'realtime',
            'stop.steps': 0,
        },
    }
    rated = {
        'speed_share': ParameterValue(use['speed_share'], value_type=float),
        'dry_run': ParameterValue(use['dry_run'], value_type=bool),
    }
    common = {'package': 'nrl_ros', 'namespace': use['namespace'], 'output': 'screen'}
    safety = Node(executable='safety', parameters=[{'robot': robot}, rated], **common)
    driver = Node(
        executable='arm_driver',
        parameters=[{'robot': robot}],
        condition=IfCondition(use['sim']),
        **common,
    )
    params = ParameterFile(LaunchConfiguration('params_file'), allow_substs=True)
    learning = [
        Node(executable=name, name=name, parameters=[params, values], respawn=True, **common)
        for name, values in own.items()
    ]
    end = RegisterEventHandler(
        OnProcessExit(target_action=safety, on_exit=[Shutdown(reason='the safety node has ended')])
    )
    return LaunchDescription([*arguments, end, safety, driver, *learning])
