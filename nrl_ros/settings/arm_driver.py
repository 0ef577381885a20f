"""Settings of the simulated arm's driver."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from nrl_ros.base.settings import Settings, live, realtime

Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class TopicsGroup(Settings):
    """Names of topics; an empty one is left out."""

    joint_states: str = Field('joint_states', description='Published: sensor_msgs/JointState')
    velocity: str = Field(
        'forward_velocity_controller/commands',
        description='Taken: std_msgs/Float64MultiArray, one velocity per joint [rad/s]',
    )
    position: str = Field(
        'forward_position_controller/commands',
        description='Taken: std_msgs/Float64MultiArray, one position per joint [rad]',
    )
    trajectory: str = Field(
        'joint_trajectory_controller/joint_trajectory',
        description='Taken: trajectory_msgs/JointTrajectory',
    )
    tool: str = Field(
        '',
        description='Published when named: geometry_msgs/PointStamped, where the tool truly is, as '
        'a tracking camera would see it',
    )
    markers: str = Field(
        'markers', description='Published while somebody looks: visualization_msgs/MarkerArray'
    )
    diagnostics: str = Field(
        'diagnostics', description='Published once a second: diagnostic_msgs/DiagnosticArray'
    )
    description: str = Field(
        '', description='Published when named: std_msgs/String with the text of the model, latched'
    )
    running: str = Field(
        '',
        description='Published when named: std_msgs/Bool, latched: whether the robot program '
        "runs, as UR's robot_program_running",
    )
    speed_scaling: str = Field(
        '', description="Published when named: std_msgs/Float64 [%], as UR's speed_scaling"
    )
    clock: str = Field(
        '', description='Published when named, as /clock: rosgraph_msgs/Clock with simulated time'
    )


class NoiseGroup(Settings):
    """Errors of the joint states."""

    position: float = live(0.0, 'Standard deviation of positions [rad]', ge=0)
    velocity: float = live(0.0, 'Standard deviation of velocities [rad/s]', ge=0)


class FaultGroup(Settings):
    """Faults that the simulated arm may have at any time."""

    strength: tuple[Share, ...] = live(
        (), 'Share of its command that each joint follows [1]; empty: all do'
    )
    payload_kg: float = live(
        0.0, 'Mass at the tool that the controller does not know of [kg]; plant mujoco only', ge=0
    )
    tool_offset_m: tuple[Finite, Finite, Finite] = live(
        (0.0, 0.0, 0.0), 'Where the tool ends, in its own frame [m]; seen by tool and markers'
    )
    drop_share: float = live(0.0, 'Share of joint states that are lost [1]', ge=0, le=1)
    latency_s: float = live(0.0, 'Delay after which commands act [s]', ge=0, le=10)
    freeze_states: bool = live(False, 'Publish no joint states; the arm continues to move')
    program_stopped: bool = live(
        False, 'Publish on topics.running that the robot program has stopped'
    )
    speed_scaling: float = live(
        100.0, 'Value that is published on topics.speed_scaling [%]', ge=0, le=100
    )


class ArmDriverNodeSettings(Settings):
    """Settings of the node that simulates an arm's driver."""

    autostart: bool = Field(
        True, description='Configure and activate without waiting for a command'
    )
    realtime_priority: int = realtime(50)
    robot: str = Field(
        '',
        description='File of config/robots: model, joints, tool, rate, topics and start are taken '
        'from there; empty: from here',
    )
    model: str = Field(
        'planar', description='planar, ur5e, fr3, or the path of an MJCF or URDF file'
    )
    joints: tuple[str, ...] = Field(
        (), description='Joints in the order of commands; empty: all that move the tool'
    )
    tool: str = Field('', description="Site or body at the end; empty: the model's own")
    plant: Literal['servo', 'mujoco'] = Field(
        'servo', description='Joints that follow commands by themselves, or rigid-body dynamics'
    )
    rate_hz: float = Field(
        125.0, gt=0, le=2000, description='Joint states and control periods a second [1/s]'
    )
    time_constant_s: float = Field(
        0.0, ge=0, le=10, description='Lag of the plant servo [s]; 0: commands are followed at once'
    )
    command_timeout_s: float = live(
        0.0,
        'Commands older than this end: velocities become 0, and positions become the present ones '
        '[s]; 0: never, as with ros2_control',
        ge=0,
    )
    start: tuple[Finite, ...] = Field(
        (), description='Joint positions at the start [rad]; empty: 0, or the nearest limit'
    )
    seed: int = Field(0, ge=0, description='Fixes noise and losses of joint states')
    frame_id: str = Field(
        '', description="Frame of tool and markers; empty: the model's first link"
    )
    topics: TopicsGroup = TopicsGroup()
    noise: NoiseGroup = NoiseGroup()
    fault: FaultGroup = FaultGroup()

    @model_validator(mode='after')
    def _check_payload(self) -> ArmDriverNodeSettings:
        if self.fault.payload_kg and self.plant != 'mujoco':
            raise ValueError(
                f'fault.payload_kg needs plant: mujoco, received {self.fault.payload_kg} with '
                f'plant: {self.plant}'
            )
        return self
