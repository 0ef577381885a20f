"""Pictures of an arm by MuJoCo's renderer, where EGL or OSMesa draws without a screen."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.chain_parts import inverse
from nrl_ros.robots.arm.couplings import Posing
from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.obstacles import PREFIX, surrounded
from nrl_ros.robots.arm.rotations import quaternions_of
from nrl_ros.robots.arm.scene import (
    ARM_COLOUR,
    AXIS_COLOURS,
    AZIMUTH,
    ELEVATION,
    OBSTACLE_COLOUR,
    PATH_COLOUR,
    TARGET_COLOUR,
    Moment,
    Scene,
)

_LIBRARIES = ('egl', 'osmesa')
# What MuJoCo understands as "no drawing" in MUJOCO_GL.
_OFF = ('disable', 'disabled', 'off', 'false', '0')
_MOST_SHAPES = 4000
# Share of the picture's height and width that the room takes at most.
_FILLED = 0.94
# Thickness of the tool's path and size of the target, as shares of half the room.
_PATH, _TARGET, _AXIS = 0.006, 0.035, 0.22


def make_context(width: int, height: int, environment: Mapping[str, str] = os.environ) -> Any:
    """Return what MuJoCo draws with, made current; None if this machine draws nothing.

    Args:
        width: of the pictures [pixels].
        height: of the pictures [pixels].
        environment: of the process; MUJOCO_GL chooses the library, as for MuJoCo itself.
    """
    wanted = environment.get('MUJOCO_GL', '').strip().lower()
    if wanted in _OFF:
        return None
    for library in (wanted,) if wanted in _LIBRARIES else _LIBRARIES:
        # PyOpenGL takes the first one that is imported, unless that failed.
        before = environment.get('PYOPENGL_PLATFORM')
        try:
            context = importlib.import_module(f'mujoco.{library}').GLContext(width, height)
            context.make_current()
        except Exception:
            # A library that is not there raises errors of all kinds: of imports, attributes, EGL.
            if before is None:
                os.environ.pop('PYOPENGL_PLATFORM', None)
            continue
        return context
    return None


class Renderer:
    """Draws moments of an arm.

    Args:
        scene: the arm and its surroundings.
        context: of ``make_context``; is released by ``close``.
        width: of the pictures [pixels].
        height: of the pictures [pixels].
    """

    def __init__(self, scene: Scene, context: Any, width: int, height: int) -> None:
        self._mujoco = mujoco = load_mujoco()
        self._scene, self._gl = scene, context
        self._to_root = inverse(scene.robot.from_frame(''))
        self._mj = self._model(width, height)
        self._pose = Posing(self._mj, scene.robot.model.couplings)
        self._shown = mujoco.MjvScene(self._mj, maxgeom=_MOST_SHAPES)
        self._context = mujoco.MjrContext(self._mj, mujoco.mjtFontScale.mjFONTSCALE_150)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._view = mujoco.MjrRect(0, 0, width, height)
        self._options, self._camera = mujoco.MjvOption(), mujoco.MjvCamera()
        self._camera.lookat = self._to_root.of(scene.middle)
        # MuJoCo says where the camera looks to, and not where it stands.
        self._camera.azimuth, self._camera.elevation = AZIMUTH + 180.0, -ELEVATION
        self._camera.distance = _distance(scene, float(self._mj.vis.global_.fovy), width / height)
        self._pixels = np.zeros((height, width, 3), np.uint8)

    def _model(self, width: int, height: int) -> Any:
        """Return the arm's model with its surroundings, a floor, light and a bright sky."""
        mujoco, robot = self._mujoco, self._scene.robot
        described = robot.description
        spec = surrounded(robot.model, described.obstacles, described.workspace.frame)
        for geom in spec.worldbody.geoms:
            if geom.name.startswith(PREFIX):
                geom.rgba = OBSTACLE_COLOUR
        spec.add_texture(
            name='nrl_sky',
            type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
            rgb1=[1.0, 1.0, 1.0],
            rgb2=[0.86, 0.89, 0.93],
            width=64,
            height=64,
        )
        low = self._to_root.of(np.array([*self._scene.middle[:2], described.workspace.low_m[2]]))
        x, y, z, w = quaternions_of(self._to_root.rotation[None])[0]
        spec.worldbody.add_geom(
            name='nrl_floor',
            type=mujoco.mjtGeom.mjGEOM_PLANE,
            size=[2.0 * self._scene.half, 2.0 * self._scene.half, 0.1],
            pos=low - 0.002 * self._to_root.rotation[:, 2],
            quat=[w, x, y, z],
            rgba=[0.82, 0.84, 0.86, 1.0],
            contype=1,
            conaffinity=0,
        )
        spec.worldbody.add_light(
            pos=self._to_root.of(self._scene.middle + self._scene.half * np.array([1, -2, 4.0])),
            dir=self._to_root.rotation @ np.array([-0.3, 0.5, -1.0]),
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
            castshadow=True,
            diffuse=[0.5, 0.5, 0.5],
        )
        # Of what is shown, so that the shadow map is no larger than that.
        spec.stat.extent, spec.stat.center = 2.0 * self._scene.half, low
        spec.visual.headlight.ambient = [0.35, 0.35, 0.35]
        spec.visual.headlight.diffuse = [0.35, 0.35, 0.35]
        # Where no graphics card is, each picture takes a third of the time with a smaller shadow.
        spec.visual.quality.shadowsize = 1024
        getattr(spec.visual, 'global').offwidth = width
        getattr(spec.visual, 'global').offheight = height
        return spec.compile()

    def picture(self, moment: Moment) -> NDArray[np.uint8]:
        """Return a picture of a moment [height, width, 3], without its title."""
        mujoco, scene = self._mujoco, self._shown
        # Another renderer of this process may have drawn since.
        self._gl.make_current()
        self._pose(moment.position)
        data = self._pose.data
        mujoco.mj_fwdPosition(self._mj, data)
        every = int(mujoco.mjtCatBit.mjCAT_ALL)
        pert = mujoco.MjvPerturb()
        mujoco.mjv_updateScene(self._mj, data, self._options, pert, self._camera, every, scene)
        self._draw_arm(moment)
        self._draw_target(moment)
        mujoco.mjr_render(self._view, scene, self._context)
        mujoco.mjr_readPixels(self._pixels, None, self._view, self._context)
        return np.array(self._pixels[::-1])

    def _draw_arm(self, moment: Moment) -> None:
        """Add what joins the arm's shapes, and the way of its tool."""
        for ends, radius in zip(*self._scene.joints(moment.position), strict=True):
            # Slightly thinner, so that shapes of the model are seen and not what lies in them.
            self._line(ends[0], ends[1], 0.97 * radius, ARM_COLOUR)
        width = _PATH * self._scene.half
        for start, end in zip(moment.path[:-1], moment.path[1:], strict=True):
            self._line(start, end, width, PATH_COLOUR)

    def _draw_target(self, moment: Moment) -> None:
        mujoco, half = self._mujoco, self._scene.half
        self._add(
            mujoco.mjtGeom.mjGEOM_SPHERE,
            np.full(3, _TARGET * half),
            self._to_root.of(moment.target),
            np.eye(3),
            (*TARGET_COLOUR[:3], 0.6 if moment.axes is not None else 1.0),
        )
        if moment.axes is not None:
            tool = self._scene.robot.chain.tool(moment.position[None])[0]
            for origin, turned in zip((tool, moment.target), moment.axes, strict=True):
                for axis, colour in zip(turned.T, AXIS_COLOURS, strict=True):
                    self._line(origin, origin + _AXIS * half * axis, 2.0 * _PATH * half, colour)

    def _line(self, start: Float64, end: Float64, radius: float, colour: tuple[float, ...]) -> None:
        mujoco = self._mujoco
        kind = mujoco.mjtGeom.mjGEOM_CAPSULE
        self._add(kind, np.zeros(3), np.zeros(3), np.eye(3), colour)
        made = self._shown.geoms[self._shown.ngeom - 1]
        mujoco.mjv_connector(made, kind, radius, self._to_root.of(start), self._to_root.of(end))

    def _add(
        self, kind: Any, size: Float64, place: Float64, turn: Float64, colour: tuple[float, ...]
    ) -> None:
        scene = self._shown
        if scene.ngeom == _MOST_SHAPES:
            return
        made = scene.geoms[scene.ngeom]
        rgba = np.array(colour, np.float32)
        self._mujoco.mjv_initGeom(made, kind, size, place, turn.ravel(), rgba)
        # Its own light, so that a small thing keeps its colour in the shadow of the arm.
        made.emission = 0.0 if colour == ARM_COLOUR else 0.6
        scene.ngeom += 1

    def close(self) -> None:
        """Release the renderer and what it draws with."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()


def _distance(scene: Scene, height_deg: float, aspect: float) -> float:
    """Return how far from the middle of a room a camera sees all of it [m].

    Args:
        scene: whose room it is.
        height_deg: angle that the picture's height takes [degrees].
        aspect: width of the picture over its height.
    """
    azimuth, elevation = np.radians(AZIMUTH), np.radians(ELEVATION)
    # From the middle to the camera, and the picture's own axes.
    back = np.array([np.cos(azimuth), np.sin(azimuth), np.tan(elevation)]) * np.cos(elevation)
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    points = scene.shown - scene.middle
    slope = _FILLED * np.tan(np.radians(height_deg) / 2.0)
    high = np.abs(points @ np.cross(back, right)) + scene.margin
    wide = (np.abs(points @ right) + scene.margin) / aspect
    return float((np.maximum(high, wide) / slope + points @ back).max())
