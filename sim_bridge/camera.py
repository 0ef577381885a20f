"""Many simulated arms that reach, each seen by a small camera from above: a task in pixels.

Arms, limits, targets, rewards and figures are those of the bridge 'arm'. What the policy sees is a
picture of bytes instead of numbers: the links in blue, the tool in green and the target in red, as
a camera sees coloured markers. It is drawn with numpy alone, all arms as one array.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Int32, Observation, ObservationFormat, StepResult, UInt8
from nrl_ros.base.settings import Settings
from nrl_ros.environments.interfaces import Array, Environment
from nrl_ros.robots.arm.couplings import chain_of
from nrl_ros.robots.arm.kinematics import Chain
from nrl_ros.robots.arm.settings import ReachSettings
from sim_bridge.arm import ArmBridge
from sim_bridge.frames import cover_of

Float32 = NDArray[np.float32]

# Channels of a picture.
_RED, _GREEN, _BLUE = range(3)


class CameraGroup(Settings):
    """The camera above the arm; its picture has x to the right and y upwards."""

    pixels: int = Field(24, ge=4, le=256, description='Height and width of the picture [1]')
    middle_m: tuple[float, float] = Field(
        (0.0, 0.0), description='x, y in the middle of the picture'
    )
    half_m: float = Field(0.75, gt=0, description='Half the width that it shows')
    link_width_m: float = Field(0.08, gt=0, description='Width of the links in the picture')
    marker_width_m: float = Field(
        0.15, gt=0, description='Diameter of the tool and of the target in the picture'
    )


class CameraSettings(ReachSettings):
    """Options of the bridge 'camera': those of 'arm', and its camera."""

    camera: CameraGroup = CameraGroup()


class Camera:
    """Draws B arms from above.

    Args:
        settings: of the camera.
    """

    def __init__(self, settings: CameraGroup) -> None:
        self._settings = settings
        count, half = settings.pixels, settings.half_m
        along = ((np.arange(count) + 0.5) / count * 2.0 - 1.0) * half
        # Positions of all pixels, rows first, the upper one first.
        x, y = settings.middle_m[0] + along, settings.middle_m[1] - along
        self._x = np.tile(x, count).astype(np.float32)
        self._y = np.repeat(y, count).astype(np.float32)
        self._pixel = 2.0 * half / count

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a picture."""
        return (self._settings.pixels, self._settings.pixels, 3)

    def pictures(self, joints: Array, target: Array) -> UInt8:
        """Return pictures, flattened [B, O].

        Args:
            joints: places of the links' ends from the base to the tool [B, P, 2, m].
            target: [B, 2, m].
        """
        settings = self._settings
        joints, target = joints.astype(np.float32), target.astype(np.float32)
        links = np.zeros((len(target), len(self._x)), np.float32)
        for start, end in zip(joints[:, :-1].swapaxes(0, 1), joints[:, 1:].swapaxes(0, 1)):  # noqa: B905
            np.maximum(links, self._line(start, end, settings.link_width_m), out=links)
        out = np.empty((*links.shape, 3), np.uint8)
        tool = joints[:, -1]
        for channel, cover in (
            (_RED, self._line(target, target, settings.marker_width_m)),
            (_GREEN, self._line(tool, tool, settings.marker_width_m)),
            (_BLUE, links),
        ):
            cover *= 255.0
            np.rint(cover, out=cover)
            out[..., channel] = cover
        return out.reshape(len(out), -1)

    def _line(self, start: Float32, end: Float32, width: float) -> Float32:
        """Return how much of each pixel a line covers [B, pixels]; ends are [B, 2]."""
        columns = (start[:, :1], start[:, 1:], end[:, :1], end[:, 1:])
        return cover_of(self._x, self._y, columns, width, self._pixel)


class CameraBridge(ArmBridge):
    """B simulated arms whose observations are pictures, uint8 [B, height * width * 3].

    Args:
        instances: B.
        options: see CameraSettings.

    Raises:
        ConfigError: as of ArmBridge, or targets have orientations, or obstacles are asked for,
            which a picture from above does not show.
    """

    def __init__(self, instances: int, options: CameraSettings) -> None:
        if options.target.orientation.axes:
            raise ConfigError(
                'bridge camera: target.orientation.axes is given, expected none: the picture '
                'shows where a target is and not how it is turned; use the bridge arm'
            )
        if options.observation.obstacles or options.obstacles.random.most:
            raise ConfigError(
                'bridge camera: observation.obstacles and obstacles.random.most are to be 0: the '
                'picture does not show obstacles; use the bridge arm'
            )
        super().__init__(instances, options)
        model = self.robot.model
        bodies = [model.mj.body(number) for number in chain_of(model.mj, _body_of_tool(self))]
        moved = [body.name for body in bodies if body.jntnum[0]]
        self._joints_chain = Chain(model, moved, self.robot.description.workspace.frame)
        self._view = Camera(options.camera)
        shape = self._view.shape
        self.spec = replace(
            self.spec,
            observation_size=int(np.prod(shape)),
            observation_shape=shape,
            observation_format=ObservationFormat.UINT8,
            manifest=_manifest(self.spec.manifest, options.camera),
        )

    def reset(self, seed: int) -> Observation:
        """Start all arms anew; return their first pictures [B, O]."""
        super().reset(seed)
        return self._pictures()

    def step(self, action: Int32 | Float32) -> StepResult:
        """Apply one action per arm; an arm whose episode ended begins another one instead."""
        return replace(super().step(action), observation=self._pictures())

    def _pictures(self) -> UInt8:
        points = self._joints_chain.points(self._actual())[..., :2]
        # The tool comes first.
        return self._view.pictures(np.roll(points, -1, axis=1), self.episodes.state.target[:, :2])


def _body_of_tool(bridge: ArmBridge) -> int:
    model = bridge.robot.model
    is_site, number = model.find(model.tool)
    return int(model.mj.site_bodyid[number]) if is_site else number


def _manifest(of_arm: str, camera: CameraGroup) -> str:
    """Return the manifest of the arm's task with what the picture shows in place of numbers."""
    seen = (
        f'observation: picture of {camera.pixels} x {camera.pixels} pixels around '
        f'{camera.middle_m} m, {camera.half_m} m to each side, x to the right, y upwards; red: '
        f'target, green: tool, {camera.marker_width_m} m wide; blue: links, '
        f'{camera.link_width_m} m'
    )
    lines = of_arm.split('\n')
    return '\n'.join(seen if line.startswith('observation: ') else line for line in lines)


def make(instances: int, options: CameraSettings) -> Environment:
    """Make a CameraBridge, as the registry calls it."""
    return CameraBridge(instances, options)
