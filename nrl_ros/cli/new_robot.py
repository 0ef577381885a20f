"""Write the description of an arm, and a task for it, from a URDF: ``nrl robot new``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from textwrap import wrap

from nrl_ros.base.config_files import find_config, one_line
from nrl_ros.base.errors import ConfigError
from nrl_ros.cli.runs import write_whole
from nrl_ros.robots.arm.chain_parts import root_name
from nrl_ros.robots.arm.drafting import Draft, draft
from nrl_ros.robots.arm.limits_draft import ACCELERATION, SPEED
from nrl_ros.robots.arm.model_files import known_models
from nrl_ros.robots.arm.robot import load_robot

Say = Callable[[str], None]

# The task whose settings of learning a new one gets.
_LIKE = 'generic'
_WIDTH, _COMMENT_AT = 98, 40
_MOST_TOOLS = 6
_STEP_S = 0.04
# An episode lasts this many times as long as the way from home to its targets, within bounds.
_EPISODE, _STEPS, _MOST_STEPS = 1.5, 100, 300


@dataclass(frozen=True)
class NewRobot:
    """What ``nrl robot new`` is told.

    Attributes:
        model: URDF or MJCF file.
        name: of the robot and of its files; empty: the model's file.
        tool: link or site at the tool's centre point; empty: the likeliest.
        packages: folders in which packages with meshes are looked for first.
        arguments: of a xacro file, each NAME=VALUE or NAME:=VALUE.
        out: folder of the files.
    """

    model: Path
    name: str = ''
    tool: str = ''
    packages: Sequence[Path] = ()
    arguments: Sequence[str] = ()
    out: Path = Path()


def write_robot(new: NewRobot, say: Say) -> tuple[Path, Path]:
    """Write description and task of an arm.

    Args:
        new: what is wanted.
        say: gets lines on what was found.

    Returns:
        Paths of the description and of the task.

    Raises:
        ConfigError: a file is there already, or the model is no arm that can be described.
    """
    name = new.name or _name_of(new.model)
    robot, task = new.out / f'{name}_robot.yaml', new.out / f'{name}.yaml'
    for path in (robot, task):
        if path.exists():
            raise ConfigError(
                f'{path} is there already: remove it, or take another --name or --out'
            )
    model = new.model.expanduser()
    shipped = str(new.model) in known_models() and not model.is_file()
    packages = [str(folder.expanduser().resolve()) for folder in new.packages]
    found = draft(
        str(new.model) if shipped else str(model.resolve()),
        name,
        new.tool,
        packages=packages,
        arguments=_arguments(new.arguments),
    )
    where = str(new.model) if shipped else _relative(model, new.out)
    new.out.mkdir(parents=True, exist_ok=True)
    write_whole(
        robot, robot_text(found, where, [_relative(Path(each), new.out) for each in packages])
    )
    write_whole(task, task_text(found, robot.name))
    try:
        load_robot(str(robot))
    except ConfigError:
        for path in (robot, task):
            path.unlink()
        raise
    for line in _told(found, model.name):
        say(line)
    return robot, task


def robot_text(found: Draft, model: str, packages: Sequence[str] = ()) -> str:
    """Return the description of an arm as YAML, with comments.

    Args:
        found: what was drafted.
        model: path of its model from the folder of the description.
        packages: folders with packages, from there too.
    """
    robot, description = found.robot, found.robot.description
    limits, box, arm = description.limits, description.workspace, robot.model
    others = [tool for tool in found.tools if tool != description.tool][:_MOST_TOOLS]
    root = root_name(arm)
    lines = [
        *_wrapped(
            f'{description.name}: drafted by `nrl robot new` from {Path(model).name}. Everything '
            'here is a proposal that the model allows: read it with the arm and the room before '
            'you, above all tool, workspace and speeds. What each entry means: docs/real_arm.md.'
        ),
        '',
        _line(f'name: {description.name}'),
        _line(f'model: {one_line(model)}', "robot_description: the driver's, from its topic"),
    ]
    if packages:
        lines.append(f'package_paths: {one_line(list(packages))}')
    if description.xacro_arguments:
        lines.append(f'xacro_arguments: {one_line(dict(description.xacro_arguments))}')
    lines += [
        _line('joints:', 'in the order of the controller: compare it'),
        *(f'  - {one_line(joint)}' for joint in robot.joints),
        _line(f'tool: {one_line(description.tool)}', _others(others)),
        _offset(found),
    ]
    if description.held:
        lines.append(_line(f'held: {one_line(dict(description.held))}', 'nothing measures them'))
    lines += [
        _line(f'home_rad: {_numbers(description.home_rad)}', _home(found)),
        '',
        'limits:',
        *_ends(found),
        _line(f'  margin_rad: {limits.margin_rad:g}', 'kept from both'),
        *_rates(found),
        '',
        _line('workspace:', f'frame {root}: is x forwards and z up?'),
        _line(f'  low_m: {_numbers(box.low_m)}', 'the lowest z is the floor: is it?'),
        _line(f'  high_m: {_numbers(box.high_m)}', 'what it can reach: make it smaller'),
        _line(f'  watched: {one_line(list(box.watched))}', 'kept within, beside the tool'),
        *_clearance(found),
        '',
        _line('control:', 'topics of your driver: docs/real_arm.md'),
        _line(f'  rate_hz: {description.control.rate_hz:.1f}', 'commands a second'),
        _line('  interface: velocity', 'or position: velocity learns better'),
        '  command_topic: forward_velocity_controller/commands',
        '  state_topic: joint_states',
    ]
    return '\n'.join(lines) + '\n'


def task_text(found: Draft, robot: str) -> str:
    """Return a task with targets that an arm reaches, with the settings of the generic one.

    Args:
        found: what was drafted.
        robot: name of the description's file, which lies beside the task's.

    Raises:
        ConfigError: the generic task has another form than this expects.
    """
    name, box = found.robot.description.name, found.box
    rate = found.robot.description.control.rate_hz
    far = float(sum(max(abs(a), abs(b)) ** 2 for a, b in zip(box.low_m, box.high_m, strict=True)))
    text = find_config(_LIKE).read_text('utf-8')
    body = text[text.index('/**/learner:') :]
    share = f'{100.0 * box.share:.0f} % of which it reaches'
    for key, value, comment in (
        ('agent', name, ''),
        ('robot', robot, 'beside this file: joints, limits, workspace, topics'),
        ('action_every', f'{round(rate * _STEP_S)}', 'control periods of a step'),
        ('low_m', _numbers(box.low_m), f'x, y, z of a box, {share}'),
        ('high_m', _numbers(box.high_m), ''),
        ('far_m', f'{1.01 * far**0.5 + 0.01:.2f}', 'beyond the box: all of it counts'),
        ('centre_m', '[0.0, 0.0, 0.0]', ''),
    ):
        line = re.search(rf'^( +){key}: [^\n]*$', body, re.MULTILINE)
        if line is None:
            raise ConfigError(f'{find_config(_LIKE)}: expected a line with {key!r}')
        written = _line(f'{line[1]}{key}: {value}', comment)
        body = body[: line.start()] + written + body[line.end() :]
    steps = min(max(10 * ceil(0.1 * _EPISODE * found.way_s / _STEP_S), _STEPS), _MOST_STEPS)
    body = re.sub(r'(episode: \{steps: )\d+', rf'\g<1>{steps}', body)
    head = _wrapped(
        f'Reaching with {name}: joint velocities that bring the tool to a target. Drafted by '
        f'`nrl robot new`; train it with `nrl train {name}.yaml`, and look at its reach with '
        f'`nrl doctor --task {name}.yaml`. All settings: docs/parameters.md, docs/bridges.md.'
    )
    return '\n'.join([*head, '', body])


def _arguments(given: Sequence[str]) -> dict[str, str]:
    """Return the arguments of a xacro file by name.

    Raises:
        ConfigError: one has no name or no value.
    """
    arguments = {}
    for text in given:
        name, equals, value = text.partition('=')
        if not (equals and name.rstrip(':')):
            raise ConfigError(f'--xacro expects NAME=VALUE, received {text!r}')
        arguments[name.rstrip(':')] = value
    return arguments


def _ends(found: Draft) -> list[str]:
    """Return the lines of position limits; none where all are the model's."""
    limits = found.robot.description.limits
    if not found.tightened:
        return [_line('  # position_low_rad, position_high_rad', "the model's")]
    lines: list[str] = []
    for name in ('position_low_rad', 'position_high_rad'):
        values = getattr(limits, name)
        comment = "null: the model's; else half a turn, or its safety_controller's" * (not lines)
        if any(value is not None for value in values):
            lines.append(_line(f'  {name}: {_numbers(values)}', comment))
    return lines


def _rates(found: Draft) -> list[str]:
    limits, own = found.robot.description.limits, found.robot.model.velocity
    machine = f'{min(own):g} to {max(own):g}' if min(own) < max(own) else f'{max(own):g}'
    speeds, rates = limits.velocity_rad_s, limits.acceleration_rad_s2
    if set(speeds) == {SPEED}:
        speeds = speeds[:1]
    if set(rates) == {ACCELERATION}:
        rates = rates[:1]
    return [
        _line(f'  velocity_rad_s: {_numbers(speeds)}', f"the model's: {machine}"),
        _line(f'  acceleration_rad_s2: {_numbers(rates)}', 'does your machine follow that?'),
    ]


def _offset(found: Draft) -> str:
    """Return the line of the tool's offset: the end of the arm, where its model has no place."""
    xyz = found.robot.description.tool_offset.xyz_m
    if not any(xyz):
        return '# tool_offset: {xyz_m: [0.0, 0.0, 0.1]}       # of a tool that the model has not'
    text = f'tool_offset: {{xyz_m: {_numbers(xyz)}}}'
    return _line(text, 'the end of its shape: the model has no place there')


def _home(found: Draft) -> str:
    own = found.key is not None and not found.key.refused
    return 'keyframe home of the model' if own else 'allowed, with room around it'


def _clearance(found: Draft) -> list[str]:
    box = found.robot.description.workspace
    if not found.watched_pairs:
        return [_line(f'  clearance_m: {box.clearance_m:g}', 'NOT watched: no shapes to compare')]
    pairs = f'{_pairs(found)} it'
    lines = [_line(f'  clearance_m: {box.clearance_m:g}', pairs)]
    if found.touching:
        pair_lists = [list(pair) for pair in found.touching]
        exclude = _line(f'  exclude: {one_line(pair_lists)}', 'too near in most poses')
        lines += ['', 'clearance:', exclude]
    return lines


def _pairs(found: Draft) -> str:
    several = found.watched_pairs != 1
    return f'{found.watched_pairs} pair{"s" * several} of shapes keep{"" if several else "s"}'


def _told(found: Draft, model: str) -> list[str]:
    """Return lines for the person who has asked for the files."""
    description, box = found.robot.description, found.box
    others = [tool for tool in found.tools if tool != description.tool][:_MOST_TOOLS]
    lines = [
        f'{model}: {len(found.robot.joints)} joints, tool {description.tool}'
        + (f' (others: {", ".join(others)})' if others else ''),
        f'home {_numbers(description.home_rad)}, targets {_numbers(box.low_m)} to '
        f'{_numbers(box.high_m)} m, {100.0 * box.share:.0f} % of which it reaches',
    ]
    if any(description.tool_offset.xyz_m):
        lines.append(
            f'{description.tool} lies where no box of targets is reached: tool_offset is the end '
            f'of its shape, {_numbers(description.tool_offset.xyz_m)} m; measure it'
        )
    if found.key is not None:
        refused = found.key.refused
        lines.append(
            f'the keyframe home of the model is not home: {refused}'
            if refused
            else 'home is the keyframe home of the model'
        )
    if found.watched_pairs:
        lines.append(f'{_pairs(found)} a clearance')
    lines += [f'note: {note}' for note in found.robot.notes]
    return lines


def _others(others: Sequence[str]) -> str:
    return f'or {", ".join(others)}' if others else ''


def _numbers(values: Sequence[float | None]) -> str:
    """Return a list of numbers as YAML, whole ones with a decimal point."""
    told = ('null' if value is None else f'{value:.5g}' for value in values)
    return f'[{", ".join(one if one == "null" or "." in one else f"{one}.0" for one in told)}]'


def _line(text: str, comment: str = '') -> str:
    """Return a line with a comment behind it, or above it where the line is long."""
    if not comment:
        return text
    behind = f'{text + "  ":<{_COMMENT_AT}}# {comment}'
    if len(behind) <= _WIDTH:
        return behind
    return f'{" " * (len(text) - len(text.lstrip()))}# {comment}\n{text}'


def _wrapped(text: str) -> list[str]:
    return [f'# {part}' for part in wrap(text, _WIDTH - 2)]


def _relative(path: Path, folder: Path) -> str:
    """Return a path from a folder; an absolute one if they have nothing but the root in common."""
    path, folder = path.resolve(), folder.resolve()
    if os.path.commonpath([path, folder]) == os.path.sep:
        return str(path)
    return os.path.relpath(path, folder)


def _name_of(model: Path) -> str:
    """Return a name for a robot from the name of its model's file."""
    stem = model.name
    for ending in ('.xacro', '.urdf', '.xml', '.mjcf'):
        if stem.lower().endswith(ending):
            stem = stem[: -len(ending)]
    name = re.sub(r'\W+', '_', stem, flags=re.ASCII).strip('_')[:60]
    return name if name[:1].isalpha() else f'arm_{name}'.rstrip('_')
