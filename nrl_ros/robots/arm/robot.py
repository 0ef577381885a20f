"""A described arm with its model: limits in force, workspace guard, and interface description."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.manifest import note
from nrl_ros.robots.arm.chain_parts import Pose, frame_of, frame_pose, inverse
from nrl_ros.robots.arm.clearance import Clearance
from nrl_ros.robots.arm.clearance_checks import check_shapes, excluded_pairs
from nrl_ros.robots.arm.couplings import chain_of, joints_of, unit_of
from nrl_ros.robots.arm.description import FROM_TOPIC, RobotDescription, read_robot
from nrl_ros.robots.arm.held_joints import HeldJoints
from nrl_ros.robots.arm.kinematics import Chain
from nrl_ros.robots.arm.limits_in_force import (
    hard_limits,
    home_within,
    jerk_note,
    soft_notes,
    with_margin,
)
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.obstacles import Obstacles
from nrl_ros.robots.arm.robot_checks import (
    check_home,
    check_left_out,
    notes_of,
)
from nrl_ros.robots.arm.screws import kinematic_lines
from nrl_ros.robots.safety.limits import JointLimits, Part, Workspace, WorkspaceGuard

Array = NDArray[Any]


@dataclass(frozen=True)
class Robot:
    """An arm that is ready to be limited, simulated or commanded.

    Attributes:
        description: the content of its file.
        model: its kinematics and geometry.
        chain: forward kinematics of the tool and of the watched places.
        hard: limits of the machine as described, without margin or share of speed.
        limits: limits in force: with the margin, and at the share of speed that was asked for.
        home: where episodes start [J], rad or m.
        nominal: the arm with its held joints where the description says, if they were measured
            elsewhere; None: they are there.
    """

    description: RobotDescription
    model: ArmModel
    chain: Chain
    hard: JointLimits
    limits: JointLimits
    home: Array
    nominal: Robot | None = None

    @property
    def joints(self) -> tuple[str, ...]:
        """Names in the order of every array of joints."""
        return self.limits.joints

    @property
    def period_s(self) -> float:
        """Time between two commands [s]."""
        return 1.0 / self.description.control.rate_hz

    @property
    def continuous(self) -> Array:
        """Mask of the joints [J] that turn without end; a driver may wrap their angles."""
        model, said = self.model, self.model.source.joints
        endless = np.isinf(model.position_low) & np.isinf(model.position_high)
        named = [name in said and said[name].kind == 'continuous' for name in self.joints]
        return np.asarray((endless | named) & ~np.array(model.linear))

    @cached_property
    def clearance(self) -> Clearance:
        """Measures the arm's distance from itself; ``clearance_m`` says whether it is kept."""
        return Clearance(
            self.model,
            excluded=excluded_pairs(self.description, self.model),
            least_m=self.description.workspace.clearance_m,
        )

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of model and description before the arm moves."""
        own = notes_of(self.description, self.model, self.clearance)
        jerk = jerk_note(self.model, self.limits, self.period_s)
        return (*own, *soft_notes(self.model, self.hard), *jerk)

    @cached_property
    def obstacles(self) -> Obstacles | None:
        """Measures the arm's distance from what stands around it; None: nothing is described."""
        around, box = self.description.obstacles, self.description.workspace
        if not around:
            return None
        return Obstacles(self.model, around, box.frame, box.obstacle_distance_m)

    def held_joints(self) -> HeldJoints:
        """Return what watches the held joints that move the tool or a watched place."""
        model, mj = self.model, self.model.mj
        places = (model.tool, *self.description.workspace.watched)
        bodies = {link for name in places for link in chain_of(mj, frame_of(model, name)[0])}
        below = {mj.joint(joint).name for body in bodies for joint in joints_of(mj, body)}
        held = {name: value for name, value in model.held.items() if name in below}
        units = {name: unit_of(mj, name) for name in held}
        return HeldJoints(held, units, self.description.watchdog.held_tolerance_rad)

    def from_frame(self, name: str) -> Pose:
        """Return the pose that converts another frame's points to the workspace's frame.

        Args:
            name: a link or site that no joint moves; empty: the model's root.

        Raises:
            ConfigError: the model has no such frame, or joints move it.
        """
        own = frame_pose(self.model, self.description.workspace.frame)
        return inverse(own) @ frame_pose(self.model, name)

    def guard(self) -> WorkspaceGuard:
        """Return workspace and clearance as the motion filter needs them."""
        box = self.description.workspace
        margin = box.margin_m
        workspace = Workspace(
            (box.low_m[0] + margin, box.low_m[1] + margin, box.low_m[2] + margin),
            (box.high_m[0] - margin, box.high_m[1] - margin, box.high_m[2] - margin),
        )
        # The guard has a chain of its own, so that another tool offset for a policy does not change
        # it.
        chain = Chain(self.model, box.watched, box.frame)
        parts = [Part(lambda q, _asked: workspace.outside(chain.points(q)), chain.rates())]
        clearance, least = None, box.clearance_m
        # Without pairs there is nothing to measure; ``check_shapes`` decides whether that is
        # allowed.
        if least > 0.0 and self.clearance.pairs:
            clearance = near = self.clearance.sliced
            parts.append(Part(lambda q, asked: least - near.distances(q, asked), near.rates()))
        others: tuple[Callable[[Array], Array], ...] = ()
        if self.obstacles is not None:
            parts.append(Part(self.obstacles.violation, self.obstacles.rates()))
            others = (self.obstacles.worst,)
        return WorkspaceGuard(chain.points, workspace, clearance, least, tuple(parts), others)

    def manifest(self) -> str:
        """Return the interface description: joints with limits and units, and kinematics.

        A policy is valid for robots with the same one (``base.manifest.first_difference``). Names
        of robot, frame and tool are notes: what counts is how the joints move the tool's point.
        """
        return '\n'.join([note(f'tool: {self.model.tool}'), *self._interface()])

    def _interface(self) -> list[str]:
        """Return the lines of the manifest, the tool's name left out."""
        frame = self.description.workspace.frame or 'base'
        lines = [note(f'robot: {self.description.name}'), note(f'frame: {frame}')]
        lines += [note(f'held: {joint} at {value:.6g}') for joint, value in self.model.held.items()]
        limits = self.hard
        for at, (joint, unit) in enumerate(zip(self.joints, self.model.units, strict=True)):
            lines.append(
                f'{joint}: {limits.position_low[at]:.6g} to {limits.position_high[at]:.6g} {unit}, '
                f'{limits.velocity[at]:.6g} {unit}/s'
            )
        return lines + kinematic_lines(self.joints, *self.chain.screws())

    def digest(self) -> str:
        """Return a short hash of the manifest: the same on all nodes of one arm.

        The tool's name is left out, since a driver's ``tool0`` may be the point that another model
        calls ``tool``. Held joints count as described: each node measures them by itself.
        """
        if self.nominal is not None:
            return self.nominal.digest()
        return hashlib.sha256('\n'.join(self._interface()).encode()).hexdigest()[:16]


def load_robot(name: str, *, xml: str = '', share: float = 1.0) -> Robot:
    """Read a description and its model, and make the robot.

    Args:
        name: file of ``config/robots``, or a path.
        xml: the model, where it comes from a topic.
        share: of the described speeds and accelerations to allow; 0.1 for first minutes.

    Raises:
        ConfigError: something is wrong, missing, or wider than the model allows.
    """
    return make_robot(read_robot(name), xml=xml, share=share)


def make_robot(
    description: RobotDescription,
    *,
    xml: str = '',
    share: float = 1.0,
    measured: Mapping[str, float] | None = None,
) -> Robot:
    """Make the robot of a description; other arguments and errors are those of load_robot.

    Args:
        description: of the robot.
        xml: the model, where it comes from a topic.
        share: of the described speeds and accelerations to allow.
        measured: where held joints stand, by name, instead of where the description says.
    """
    nominal = None
    if measured:
        nominal = make_robot(description, xml=xml, share=share)
        held = {**description.held, **measured}
        description = description.model_copy(update={'held': held})
    if description.model == FROM_TOPIC and not xml:
        raise ConfigError(
            f'robot {description.name!r}: its model comes from the topic {FROM_TOPIC}, which only '
            'nodes of an arm wait for, and `nrl doctor`, `nrl train` and `nrl arm` fetch: use one '
            'of these, or name a URDF or MJCF file as model'
        )
    model = read_arm(description, xml)
    check_left_out(description.name, model)
    hard = hard_limits(description, model)
    limits = with_margin(description, model, hard).scaled(share)
    home = home_within(description, model, hard, limits)
    chain = Chain(model, description.workspace.watched, description.workspace.frame)
    robot = Robot(description, model, chain, hard, limits, home, nominal)
    box = description.workspace
    check_shapes(description.name, model, robot.clearance if box.clearance_m else None)
    check_home(description, robot.guard(), home, robot.obstacles)
    return robot


def read_arm(description: RobotDescription, xml: str = '') -> ArmModel:
    """Read the model of a description.

    Args:
        description: of the robot.
        xml: the model, where it comes from a topic.

    Raises:
        ConfigError: there is no such model, or it does not fit.
    """
    joints, tool, held = description.joints or None, description.tool, description.held
    own = description.tool_offset
    offset = None if own.is_none else (own.xyz_m, own.rpy_rad)
    packages = tuple(map(Path, description.package_paths))
    capsules = description.clearance.capsules
    if xml:
        return ArmModel.from_text(
            xml, joints, tool, held, offset=offset, packages=packages, capsules=capsules
        )
    return ArmModel.from_file(
        description.model,
        joints,
        tool,
        held,
        offset=offset,
        packages=packages,
        arguments=description.xacro_arguments,
        capsules=capsules,
    )
