"""A trained arm at work: a picture of its paths to unseen targets, and a short animation.

matplotlib is imported only when something is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.shapes import Shapes

if TYPE_CHECKING:
    from mpl_toolkits.mplot3d import Axes3D

Array = NDArray[Any]

_SHOWN = 4
_WAYS = 24
_FRAMES_EVERY = 4
_PAUSE_FRAMES = 3
# Width of a line of the arm, as a share of the room that is drawn [points].
_POINTS = 110.0


@dataclass(frozen=True)
class Reaches:
    """Greedy episodes of N arms over T steps.

    Attributes:
        robot: the arm.
        position: of the joints, at the start and after each step [T + 1, N, J].
        tool: [T + 1, N, 3].
        target: [N, 3].
        period_s: of a step.
        success_radius_m: of the task: nearer than this is at the target.
    """

    robot: Robot
    position: Array
    tool: Array
    target: Array
    period_s: float
    success_radius_m: float

    @property
    def final_distance(self) -> Array:
        """Distance of the tool from its target at the end [N, m]."""
        return np.asarray(np.linalg.norm(self.tool[-1] - self.target, axis=1))


def reaches_of(
    robot: Robot, rollout: Mapping[str, Array], *, period_s: float, success_radius_m: float
) -> Reaches:
    """Return the episodes of a rollout with the paths of their tools.

    Args:
        robot: the arm.
        rollout: its ``position`` [T + 1, N, J, rad] and ``target`` [T + 1, N, 3, m].
        period_s: of a step [s].
        success_radius_m: of the task [m].
    """
    position = rollout['position']
    tool = robot.chain.tool(position.reshape(-1, position.shape[-1]))
    return Reaches(
        robot,
        position,
        tool.reshape(*position.shape[:2], 3),
        rollout['target'][0],
        period_s,
        success_radius_m,
    )


def draw_reaches(before: Reaches, after: Reaches, picture: Path, animation: Path) -> None:
    """Write the picture and the animation.

    Args:
        before: of the untrained policy.
        after: of the trained one, for the same targets.
        picture: PNG: paths of the tool, and its distance from the target at the end.
        animation: GIF: the trained arm reaching for one target after another.
    """
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(11.0, 5.0), layout='constrained')
    left = figure.add_subplot(1, 2, 1, projection='3d')
    arm = Arm(after, after.position[-1:, 0])
    arm.make_room(left)
    _ways(left, after)
    arm.draw(left, after.position[-1, 0])
    left.set_title('paths of the tool to unseen targets, after training')
    right = figure.add_subplot(1, 2, 2)
    _distances(right, before, after)
    figure.savefig(picture, dpi=130)
    pyplot.close(figure)
    _animate(after, animation)


def _ways(axes: Axes3D, reaches: Reaches) -> None:
    for arm in range(min(_WAYS, reaches.tool.shape[1])):
        axes.plot(*reaches.tool[:, arm].T, color='#1f6fb2', alpha=0.5, linewidth=1.0)
        axes.scatter(*reaches.target[arm], color='#c1272d', s=14, depthshade=False)


class Arm:
    """Draws an arm in axes that have room for all of it.

    Args:
        reaches: episodes of the arm.
        shown: positions of the joints that are drawn [K, J].
    """

    def __init__(self, reaches: Reaches, shown: Array) -> None:
        self._robot, self._shapes = reaches.robot, Shapes(reaches.robot.model)
        # Shapes are in the frame of the model's root, all else is in the frame of the workspace.
        self._root = reaches.robot.from_frame('')
        bodies = [self._segments(position)[0].reshape(-1, 3) for position in shown]
        seen = [reaches.target, reaches.tool.reshape(-1, 3), *bodies]
        points = np.concatenate(seen)
        low, high = points.min(axis=0), points.max(axis=0)
        thick = float(self._shapes.radius.max(initial=0.0))
        self._middle = (low + high) / 2.0
        self._half = 0.5 * float((high - low).max()) + thick

    def make_room(self, axes: Axes3D) -> None:
        """Set the limits of axes, equal in all directions."""
        for name, centre in zip('xyz', self._middle, strict=True):
            getattr(axes, f'set_{name}lim')(centre - self._half, centre + self._half)
            getattr(axes, f'set_{name}label')(f'{name} [m]')
        # A little smaller than usual, so that no label leaves the picture.
        axes.set_box_aspect((1.0, 1.0, 1.0), zoom=0.92)

    def draw(self, axes: Axes3D, position: Array) -> list[Any]:
        """Draw the arm's shapes, and return the lines that were drawn."""
        drawn = []
        for ends, radius in zip(*self._segments(position), strict=True):
            drawn += axes.plot(
                *ends.T,
                color='#5a6470',
                linewidth=max(1.5, radius * _POINTS / self._half),
                solid_capstyle='round',
            )
        return drawn

    def _segments(self, position: Array) -> tuple[Array, Array]:
        """Return the ends of all segments [S, 2, 3], the way to the tool last, and their radii."""
        ends, radius = self._shapes.joined(position)
        ends = np.array([[self._root.of(point) for point in pair] for pair in ends])
        tool = self._robot.chain.tool(position[None])[0]
        points = ends.reshape(-1, 3)
        last = points[np.linalg.norm(points - tool, axis=1).argmin()]
        return np.concatenate([ends, [[last, tool]]]), np.append(radius, 0.3 * radius.min())


def _distances(axes: Any, before: Reaches, after: Reaches) -> None:
    edges = np.linspace(np.log10(0.001), 0.2, 50)
    radius = after.success_radius_m
    for name, reaches, colour in (
        ('untrained', before, '0.6'),
        ('trained', after, '#1f6fb2'),
    ):
        distance = reaches.final_distance
        share = 100.0 * float(np.mean(distance < radius))
        axes.hist(
            np.log10(np.maximum(distance, 0.001)),
            edges,
            color=colour,
            alpha=0.75,
            label=f'{name}: {share:.1f} % within {100.0 * radius:g} cm',
        )
    ticks = (0.001, 0.005, 0.02, 0.05, 0.2, 1.0)
    axes.set_xticks(np.log10(ticks), [f'{100 * tick:g}' for tick in ticks])
    axes.axvline(np.log10(radius), color='0.3', linestyle='--', linewidth=1.0)
    axes.set_xlabel('distance of the tool from its target at the end [cm]')
    axes.set_ylabel('episodes [1]')
    axes.set_title(f'{len(after.target):,} unseen targets, greedy policy')
    # Below the axes, since bars and the line of the radius may be anywhere in them.
    axes.legend(frameon=False, loc='upper center', bbox_to_anchor=(0.5, -0.13), ncols=2)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)


def _animate(reaches: Reaches, path: Path) -> None:
    from matplotlib import pyplot
    from matplotlib.animation import FuncAnimation, PillowWriter

    # The layout is computed once, since to compute it for each frame takes as long as the drawing.
    figure = pyplot.figure(figsize=(4.8, 4.4))
    axes: Any = figure.add_axes((0.02, 0.02, 0.9, 0.9), projection='3d')
    axes.view_init(elev=22, azim=-55)
    frames = [
        (number, step)
        for number in range(min(_SHOWN, len(reaches.target)))
        for step in [
            *range(0, len(reaches.position), _FRAMES_EVERY),
            *[len(reaches.position) - 1] * _PAUSE_FRAMES,
        ]
    ]
    arm = Arm(reaches, np.array([reaches.position[step, number] for number, step in frames]))
    arm.make_room(axes)
    drawn: list[Any] = []

    def show(frame: tuple[int, int]) -> list[Any]:
        number, step = frame
        while drawn:
            drawn.pop().remove()
        drawn.extend(arm.draw(axes, reaches.position[step, number]))
        drawn.extend(axes.plot(*reaches.tool[: step + 1, number].T, color='#1f6fb2', linewidth=1.5))
        drawn.append(axes.scatter(*reaches.target[number], color='#c1272d', s=40, depthshade=False))
        distance = float(np.linalg.norm(reaches.tool[step, number] - reaches.target[number]))
        axes.set_title(f'target {number + 1}: {100 * distance:.1f} cm away', fontsize=10)
        return drawn

    rate = 1.0 / (_FRAMES_EVERY * reaches.period_s)
    film = FuncAnimation(figure, show, frames=frames, blit=False, cache_frame_data=False)
    film.save(path, writer=PillowWriter(fps=round(rate)), dpi=80)
    pyplot.close(figure)
