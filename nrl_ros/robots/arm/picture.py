"""A trained arm at work: a picture of its paths to unseen targets, and a short film.

matplotlib is imported only when something is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.robots.arm.render import Renderer, make_context
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.scene import (
    ARM_COLOUR,
    AXIS_COLOURS,
    AZIMUTH,
    ELEVATION,
    OBSTACLE_COLOUR,
    PATH_COLOUR,
    TARGET_COLOUR,
    Moment,
    Painter,
    Scene,
)
from nrl_ros.robots.arm.surfaces import shaded

if TYPE_CHECKING:
    from mpl_toolkits.mplot3d import Axes3D

Array = NDArray[Any]

_SHOWN = 4
_WAYS = 24
_FRAMES_EVERY = 4
_PAUSE_FRAMES = 3
# Of a film [pixels], and of its titles.
WIDTH, HEIGHT = 400, 380
_TITLE, _BAND = 14, 26
# Colours of a film; more make the file larger, and nothing better.
_FILM_COLOURS = 64
# Length of the axes of a pose, as a share of half the room.
_AXIS = 0.22


@dataclass(frozen=True)
class Reaches:
    """Greedy episodes of N arms over T steps.

    Attributes:
        robot: the arm.
        position: of the joints, at the start and after each step [T + 1, N, J].
        tool: [T + 1, N, 3].
        target: [T + 1, N, 3].
        period_s: of a step.
        success_radius_m: of the task: nearer than this is at the target.
        rotation: orientations of the targets [T + 1, N, 3, 3]; None: they do not matter.
    """

    robot: Robot
    position: Array
    tool: Array
    target: Array
    period_s: float
    success_radius_m: float
    rotation: Array | None = None

    @property
    def final_distance(self) -> Array:
        """Distance of the tool from its target at the end [N, m]."""
        return np.asarray(np.linalg.norm(self.tool[-1] - self.target[-1], axis=1))

    def scene(self, shown: Array) -> Scene:
        """Return a scene with room for all paths and targets, and for the arm at positions [K, J].

        A film of one arm needs no room for what others do.
        """
        points = [self.target.reshape(-1, 3), self.tool.reshape(-1, 3)]
        return Scene(self.robot, shown, np.concatenate(points))

    def moment(self, step: int, number: int, title: str = '') -> Moment:
        """Return what one arm does at a step."""
        axes, position = None, self.position[step, number]
        if self.rotation is not None:
            tool = self.robot.chain.orientation(position[None])[0]
            axes = np.array([tool, self.rotation[step, number]])
        path = self.tool[: step + 1, number]
        return Moment(position, self.target[step, number], path, axes, title)

    def distance(self, step: int, number: int) -> float:
        """Return how far one arm's tool is from its target at a step [m]."""
        return float(np.linalg.norm(self.tool[step, number] - self.target[step, number]))


def reaches_of(
    robot: Robot, rollout: Mapping[str, Array], *, period_s: float, success_radius_m: float
) -> Reaches:
    """Return the episodes of a rollout with the paths of their tools.

    Args:
        robot: the arm.
        rollout: its ``position`` [T + 1, N, J, rad] and ``target`` [T + 1, N, 3, m]; where
            orientations matter, those of the targets as ``rotation`` [T + 1, N, 3, 3].
        period_s: of a step [s].
        success_radius_m: of the task [m].
    """
    position = rollout['position']
    tool = robot.chain.tool(position.reshape(-1, position.shape[-1]))
    return Reaches(
        robot,
        position,
        tool.reshape(*position.shape[:2], 3),
        rollout['target'],
        period_s,
        success_radius_m,
        rollout.get('rotation'),
    )


def draw_reaches(before: Reaches, after: Reaches, picture: Path, animation: Path) -> None:
    """Write the picture and the film.

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
    # At the target that it has come nearest to.
    best = int(after.final_distance.argmin())
    scene = after.scene(after.position[-1:, best])
    plot = Plot(scene, left)
    _ways(left, after)
    plot.draw(after.moment(len(after.position) - 1, best), path=False)
    left.set_title('paths of the tool to unseen targets, after training')
    right = figure.add_subplot(1, 2, 2)
    _distances(right, before, after)
    figure.savefig(picture, dpi=130)
    pyplot.close(figure)
    frames = [
        (number, step)
        for number in range(min(_SHOWN, len(after.target[0])))
        for step in [
            *range(0, len(after.position), _FRAMES_EVERY),
            *[len(after.position) - 1] * _PAUSE_FRAMES,
        ]
    ]
    moments = [
        after.moment(
            step, number, f'target {number + 1}: {100 * after.distance(step, number):.1f} cm away'
        )
        for number, step in frames
    ]
    write_film(moments, after.robot, animation, period_s=_FRAMES_EVERY * after.period_s)


def _ways(axes: Axes3D, reaches: Reaches) -> None:
    for arm in range(min(_WAYS, reaches.tool.shape[1])):
        axes.plot(*reaches.tool[:, arm].T, color=PATH_COLOUR, alpha=0.5, linewidth=1.0)
        axes.scatter(*reaches.target[-1, arm], color=TARGET_COLOUR, s=14, depthshade=False)


class Plot:
    """Draws an arm and what stands around it in axes that have room for all of it.

    Args:
        scene: the arm.
        axes: in three dimensions.
    """

    def __init__(self, scene: Scene, axes: Axes3D) -> None:
        from matplotlib.ticker import MaxNLocator

        self._scene, self._axes = scene, axes
        for name, centre in zip('xyz', scene.middle, strict=True):
            getattr(axes, f'set_{name}lim')(centre - scene.half, centre + scene.half)
            getattr(axes, f'set_{name}label')(f'{name} [m]')
            # More numbers than these touch each other.
            getattr(axes, f'{name}axis').set_major_locator(MaxNLocator(nbins=4))
        # A little smaller than usual, so that no label leaves the picture.
        axes.set_box_aspect((1.0, 1.0, 1.0), zoom=0.92)
        axes.view_init(elev=ELEVATION, azim=AZIMUTH)
        # All faces are in one collection, since only within one what is nearer hides the rest.
        around = shaded(scene.obstacles, np.array(OBSTACLE_COLOUR))
        self._around = (scene.obstacles, around)

    def draw(self, moment: Moment, *, path: bool = True) -> list[Any]:
        """Draw a moment, and return what was drawn.

        Args:
            moment: what to draw.
            path: draw the way of the tool and its target too.
        """
        from mpl_toolkits.mplot3d.art3d import Poly3DCollection

        arm = self._scene.surface(moment.position)
        faces = np.concatenate([arm, self._around[0]])
        colours = np.concatenate([shaded(arm, np.array(ARM_COLOUR)), self._around[1]])
        # Edges of the same colour close the gaps between faces.
        body = Poly3DCollection(faces, facecolors=colours, edgecolors=colours, linewidths=0.3)
        self._axes.add_collection3d(body)
        drawn: list[Any] = [body]
        if path:
            drawn += self._axes.plot(*moment.path.T, color=PATH_COLOUR, linewidth=1.5)
            drawn.append(
                self._axes.scatter(*moment.target, color=TARGET_COLOUR, s=40, depthshade=False)
            )
        if moment.axes is not None:
            tool = self._scene.robot.chain.tool(moment.position[None])[0]
            for origin, turned in zip((tool, moment.target), moment.axes, strict=True):
                for axis, colour in zip(turned.T, AXIS_COLOURS, strict=True):
                    ends = np.array([origin, origin + _AXIS * self._scene.half * axis])
                    drawn += self._axes.plot(*ends.T, color=colour, linewidth=2.0)
        return drawn


class PlotPainter:
    """Makes the pictures of a film with matplotlib, where nothing else draws.

    Args:
        scene: the arm.
    """

    def __init__(self, scene: Scene) -> None:
        import matplotlib as mpl

        mpl.use('Agg')
        from matplotlib import pyplot

        # Without a layout, which takes as long to compute as a picture to draw.
        self._figure: Any = pyplot.figure(figsize=(WIDTH / 80, HEIGHT / 80), dpi=80)
        axes: Any = self._figure.add_axes((0.02, 0.02, 0.9, 0.9), projection='3d')
        self._plot, self._drawn = Plot(scene, axes), list[Any]()

    def picture(self, moment: Moment) -> NDArray[np.uint8]:
        """Return a picture of a moment [height, width, 3], without its title."""
        while self._drawn:
            self._drawn.pop().remove()
        self._drawn = self._plot.draw(moment)
        self._figure.canvas.draw()
        return np.array(self._figure.canvas.buffer_rgba(), np.uint8)[..., :3]

    def close(self) -> None:
        """Forget the figure."""
        from matplotlib import pyplot

        pyplot.close(self._figure)


def make_painter(scene: Scene) -> Painter:
    """Return MuJoCo's renderer where EGL or OSMesa is there, else matplotlib."""
    context = make_context(WIDTH, HEIGHT)
    return PlotPainter(scene) if context is None else Renderer(scene, context, WIDTH, HEIGHT)


def write_film(moments: Iterable[Moment], robot: Robot, path: Path, *, period_s: float) -> None:
    """Write a GIF of an arm.

    Args:
        moments: at least one.
        robot: the arm.
        path: of the file.
        period_s: from one moment to the next [s].
    """
    from PIL import Image

    shown = list(moments)
    points = [point for one in shown for point in (*one.path[-1:], one.target)]
    scene = Scene(robot, np.array([one.position for one in shown]), np.array(points))
    painter = make_painter(scene)
    try:
        frames: Iterator[Any] = (
            titled(painter.picture(one), one.title).quantize(
                _FILM_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
            )
            for one in shown
        )
        first = next(frames)
        duration = round(1000 * period_s)
        first.save(path, save_all=True, append_images=frames, duration=duration, loop=0)
    finally:
        painter.close()


def titled(picture: NDArray[np.uint8], title: str) -> Any:
    """Return a picture as Pillow has it, with a line of text above it."""
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    height, width, _ = picture.shape
    image = Image.new('RGB', (width, height + _BAND), 'white')
    image.paste(Image.fromarray(picture), (0, _BAND))
    # Pillow's own font has one size, and no signs beyond Latin-1.
    font = ImageFont.truetype(f'{get_data_path()}/fonts/ttf/DejaVuSans.ttf', _TITLE)
    drawing = ImageDraw.Draw(image)
    left = 0.5 * (width - drawing.textlength(title, font=font))
    drawing.text((left, 5), title, fill=(40, 40, 40), font=font)
    return image


class Camera:
    """Takes pictures of an arm at work, of which it is not known before what it will do.

    Args:
        robot: the arm.
        points: that have to be in the picture [N, 3, m], such as the corners of its targets' box.
    """

    def __init__(self, robot: Robot, points: Array) -> None:
        self._robot = robot
        self._painter = make_painter(Scene(robot, robot.home[None], points))
        self._path: list[Array] = []

    def picture(
        self, position: Array, target: Array, rotation: Array | None, *, begins: bool
    ) -> NDArray[np.uint8]:
        """Return a picture [height, width, 3].

        Args:
            position: of the joints [J].
            target: [3, m].
            rotation: of the target [3, 3]; None: it does not matter.
            begins: an episode begins, so that the way of the tool begins too.
        """
        chain = self._robot.chain
        if begins:
            self._path.clear()
        self._path.append(chain.tool(position[None])[0])
        axes = None
        if rotation is not None:
            axes = np.array([chain.orientation(position[None])[0], rotation])
        return self._painter.picture(Moment(position, target, np.array(self._path), axes))

    def close(self) -> None:
        """Release what the pictures need."""
        self._painter.close()


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
    axes.set_title(f'{len(after.target[0]):,} unseen targets, greedy policy')
    # Below the axes, since bars and the line of the radius may be anywhere in them.
    axes.legend(frameon=False, loc='upper center', bbox_to_anchor=(0.5, -0.13), ncols=2)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
