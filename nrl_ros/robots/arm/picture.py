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
_PIXELS_A_METRE = 300.0


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
    _room(left, after)
    _ways(left, after)
    _arm(left, after, after.position[-1, 0])
    left.set_title('paths of the tool to unseen targets, after training')
    right = figure.add_subplot(1, 2, 2)
    _distances(right, before, after)
    figure.savefig(picture, dpi=130)
    pyplot.close(figure)
    _animate(after, animation)


def _room(axes: Axes3D, reaches: Reaches) -> None:
    points = np.concatenate([reaches.target, reaches.tool.reshape(-1, 3), np.zeros((1, 3))])
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2.0, 0.5 * float((high - low).max())
    for name, centre in zip('xyz', middle, strict=True):
        getattr(axes, f'set_{name}lim')(centre - half, centre + half)
        getattr(axes, f'set_{name}label')(f'{name} [m]')
    axes.set_box_aspect((1.0, 1.0, 1.0))


def _ways(axes: Axes3D, reaches: Reaches) -> None:
    for arm in range(min(_WAYS, reaches.tool.shape[1])):
        axes.plot(*reaches.tool[:, arm].T, color='#1f6fb2', alpha=0.5, linewidth=1.0)
        axes.scatter(*reaches.target[arm], color='#c1272d', s=14, depthshade=False)


def _arm(axes: Axes3D, reaches: Reaches, position: Array) -> list[Any]:
    """Draw the arm's shapes, and return the lines that were drawn."""
    shapes = Shapes(reaches.robot.model)
    # Shapes are in the frame of the model's root, everything else is in the frame of the workspace.
    root = reaches.robot.from_frame('')
    drawn = []
    for (start, end), radius in zip(shapes.segments(position), shapes.radius, strict=True):
        line = np.array([root.of(start), root.of(end)])
        drawn += axes.plot(
            *line.T,
            color='#5a6470',
            linewidth=max(1.5, 2.0 * radius * _PIXELS_A_METRE * 0.4),
            solid_capstyle='round',
            alpha=0.85,
        )
    return drawn


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
    axes.legend(frameon=False)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)


def _animate(reaches: Reaches, path: Path) -> None:
    from matplotlib import pyplot
    from matplotlib.animation import FuncAnimation, PillowWriter

    # The layout is computed once, since to compute it for each frame takes as long as the drawing.
    figure = pyplot.figure(figsize=(4.8, 4.4))
    axes: Any = figure.add_axes((0.02, 0.02, 0.9, 0.9), projection='3d')
    _room(axes, reaches)
    axes.view_init(elev=22, azim=-55)
    frames = [
        (arm, step)
        for arm in range(min(_SHOWN, len(reaches.target)))
        for step in [
            *range(0, len(reaches.position), _FRAMES_EVERY),
            *[len(reaches.position) - 1] * _PAUSE_FRAMES,
        ]
    ]
    drawn: list[Any] = []

    def show(frame: tuple[int, int]) -> list[Any]:
        arm, step = frame
        while drawn:
            drawn.pop().remove()
        drawn.extend(_arm(axes, reaches, reaches.position[step, arm]))
        drawn.extend(axes.plot(*reaches.tool[: step + 1, arm].T, color='#1f6fb2', linewidth=1.5))
        drawn.append(axes.scatter(*reaches.target[arm], color='#c1272d', s=40, depthshade=False))
        distance = float(np.linalg.norm(reaches.tool[step, arm] - reaches.target[arm]))
        axes.set_title(f'target {arm + 1}: {100 * distance:.1f} cm away', fontsize=10)
        return drawn

    rate = 1.0 / (_FRAMES_EVERY * reaches.period_s)
    film = FuncAnimation(figure, show, frames=frames, blit=False, cache_frame_data=False)
    film.save(path, writer=PillowWriter(fps=round(rate)), dpi=80)
    pyplot.close(figure)
