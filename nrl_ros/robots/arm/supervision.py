"""Settings of an arm's supervisor, from the robot's description."""

from __future__ import annotations

from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.safety.settings import SupervisorSettings, WatchdogSettings

# Names of permissions in texts for people.
PROGRAM, SPEED_SCALING = 'the robot program', 'full speed scaling'
CONTROLLER = 'the controller, whose joints and interface are asked for or wrong'
ACTIVE = 'the controller, which is not active'
# Share of the distance between arm and reference that is removed in a period, if velocities are
# commanded.
ANCHOR_GAIN = 0.05


def supervisor_settings(
    robot: Robot, *, dry_run: bool = False, state_topic: str = ''
) -> SupervisorSettings:
    """Return the watchdog of a robot's description, connected to its topics.

    Args:
        robot: the arm.
        dry_run: True if nothing is sent to its controller.
        state_topic: topic of its joint states, for texts; empty: not known.
    """
    watchdog, control = robot.description.watchdog, robot.description.control
    topics = {PROGRAM: watchdog.running_topic, SPEED_SCALING: watchdog.speed_scaling_topic}
    return SupervisorSettings(
        **{name: getattr(watchdog, name) for name in WatchdogSettings.model_fields},
        anchor_gain=ANCHOR_GAIN if control.interface == 'velocity' else 0.0,
        permissions=(CONTROLLER, *(name for name, topic in topics.items() if topic)),
        controller=CONTROLLER,
        # A robot that is moved by hand may need the place of its controller for that.
        released=(ACTIVE,),
        dry_run=dry_run,
        state_topic=state_topic,
    )
