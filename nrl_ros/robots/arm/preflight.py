"""Summary of an arm's description that a person should read before switching the arm on."""

from __future__ import annotations

from nrl_ros.robots.arm.chain_parts import frames_of, root_name
from nrl_ros.robots.arm.clearance import FAR_M, without_shape
from nrl_ros.robots.arm.clearance_checks import pair_lines
from nrl_ros.robots.arm.controller_facts import name_problem
from nrl_ros.robots.arm.robot import Robot


def preflight(robot: Robot) -> list[str]:
    """Return lines about an arm: joints, limits in force, home, clearance, workspace, topics.

    Args:
        robot: made with the share of speed that will be used.
    """
    notes = [f'note: {note}' for note in robot.notes]
    return [*_joints(robot), *_places(robot), *_topics(robot), *notes]


def _joints(robot: Robot) -> list[str]:
    limits, description = robot.limits, robot.description
    lines = [
        f'robot {description.name}, model {description.model}, manifest {robot.digest()}',
        'joints, in the order of commands; limits in force, with margin and share of speed:',
    ]
    for at, (joint, unit) in enumerate(zip(robot.joints, robot.model.units, strict=True)):
        lines.append(
            f'  {joint}: {limits.position_low[at]:.3f} to {limits.position_high[at]:.3f} {unit}, '
            f'{limits.velocity[at]:.3g} {unit}/s, {limits.acceleration[at]:.3g} {unit}/s^2, stops '
            f'with {limits.stop_acceleration[at]:.3g} {unit}/s^2, home {robot.home[at]:.3f} {unit}'
        )
    return lines


def _places(robot: Robot) -> list[str]:
    box, home = robot.description.workspace, robot.home[None]
    x, y, z = robot.chain.tool(home)[0]
    sides = ', '.join(
        f'{axis} {low:g} to {high:g}'
        for axis, low, high in zip('xyz', box.low_m, box.high_m, strict=True)
    )
    return [
        f'frame: {box.frame or root_name(robot.model)}, x forwards, z up; targets may come in '
        f'{", ".join(frames_of(robot.model))}',
        f'tool {robot.model.tool} at home: {x:.3f}, {y:.3f}, {z:.3f} m',
        f'workspace: {sides} m, {box.margin_m} m from its walls; watched: '
        f'{", ".join((robot.model.tool, *box.watched))}',
        _clearance(robot),
        *(f'  {line}' for line in pair_lines(robot.clearance)),
        *_obstacles(robot),
    ]


def _clearance(robot: Robot) -> str:
    """Return the line on clearance: what is kept, and what is measured at home."""
    kept = robot.description.workspace.clearance_m
    if not robot.clearance.pairs:
        why = 'no two links can come near one another' if kept else 'NOT watched'
        return f'clearance of the arm from itself: no pair of shapes is compared, {why}'
    least = robot.clearance(robot.home[None])[0]
    more = 'more than ' * bool(least >= FAR_M)
    some = ', of links that have shapes' * bool(without_shape(robot.model))
    asked = f'{kept} m are kept{some}' if kept else 'NOT watched in motion'
    return f'clearance of the arm from itself at home: {more}{least:.3f} m ({asked})'


def _obstacles(robot: Robot) -> list[str]:
    """Return the line on what stands around the arm; none where nothing is described."""
    around = robot.obstacles
    if around is None:
        return []
    names = ', '.join(f'{each.name} ({each.shape})' for each in robot.description.obstacles)
    (link, name), least = around.nearest(robot.home)
    return [
        f'obstacles: {names}; at home {link} is {least:.3f} m from {name} '
        f'({robot.description.workspace.obstacle_distance_m} m are kept; {len(around.names)} pairs '
        'of shapes compared)'
    ]


def _topics(robot: Robot) -> list[str]:
    control, watchdog = robot.description.control, robot.description.watchdog
    lines = [
        f'a {control.interface} command each {1000.0 * robot.period_s:.4g} ms on '
        f'{control.command_topic}, joint states from {control.state_topic}',
        f'held after {watchdog.command_timeout_s} s without a command, stopped after '
        f'{watchdog.state_timeout_s} s without a joint state, or by true on '
        f'{control.emergency_stop_topic}',
    ]
    if wrong := name_problem(control.command_topic, control.interface):
        lines.append(f'command_topic: a controller that {wrong}')
    for what, topic in (
        ('robot program', watchdog.running_topic),
        ('speed scaling', watchdog.speed_scaling_topic),
    ):
        lines.append(f'{what}: {f"watched on {topic}" if topic else "NOT watched"}')
    return lines
