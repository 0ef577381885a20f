"""A robot that is no arm: a mobile base that drives to a place and parks there.

Many simulated ones in one array, and one that does not wait for its actions. Tests train them
through the same commands as any other task: ``installed`` makes them bridges of a package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import ActionSpace, EnvSpec, Float32, StepResult
from nrl_ros.environments.interfaces import Drawn, Rollout

Array = NDArray[Any]

PERIOD_S = 0.02
_STEPS = 20
_PARKED_M = 0.5
_SPEED_M_S, _TURN_RAD_S = 2.0, 6.0


class MobileBases:
    """B bases on a plane, each driven by a forward speed and a rate of turning.

    An observation is the way to the place in the frame of the base [m].
    """

    def __init__(self, instances: int) -> None:
        self.spec = EnvSpec(
            instances,
            2,
            ActionSpace.continuous((-_SPEED_M_S, -_TURN_RAD_S), (_SPEED_M_S, _TURN_RAD_S)),
            control_period_s=PERIOD_S,
            max_episode_steps=_STEPS,
            metrics=('final_distance_m', 'is_parked'),
            manifest='mobile base: way to the place [m]; forward speed [m/s], turning [rad/s]',
        )
        self._random = np.random.default_rng(0)
        self.place = np.zeros((instances, 2))
        self.position = np.zeros((instances, 2))
        self._heading = np.zeros(instances)
        self._steps = np.zeros(instances, np.int64)
        self._ended = np.ones(instances, np.bool_)

    def reset(self, seed: int) -> Float32:
        self._random = np.random.default_rng(seed)
        self._begin(np.ones(self.spec.instances, np.bool_))
        return self._observe()

    def step(self, action: Any) -> StepResult:
        started = self._ended.copy()
        before = self._distance()
        self.drive(np.where(started[:, None], 0.0, action))
        self._begin(started)
        distance = self._distance()
        self._steps += ~started
        self._ended = self._steps >= _STEPS
        return StepResult(
            self._observe(),
            np.where(started, 0.0, before - distance),
            np.zeros_like(started),
            self._ended,
            np.zeros_like(started),
            np.column_stack([distance, distance < _PARKED_M]),
        )

    def drive(self, action: Array) -> None:
        """Move for a period."""
        self._heading += PERIOD_S * action[:, 1]
        towards = np.stack([np.cos(self._heading), np.sin(self._heading)], axis=1)
        self.position += PERIOD_S * action[:, :1] * towards

    def close(self) -> None:
        pass

    def pose(self) -> dict[str, Array]:
        return {'position': self.position.copy(), 'place': self.place.copy()}

    def draw(self, before: Rollout, after: Rollout, folder: str) -> Drawn:
        path = Path(folder) / 'ways.txt'
        path.write_text(f'{before["position"].shape} {after["position"].shape}')
        return Drawn('the ways of the base', (str(path),))

    def _begin(self, which: Array) -> None:
        count = int(np.count_nonzero(which))
        self.position[which] = 0.0
        self._heading[which] = 0.0
        self.place[which] = self._random.uniform((0.2, -0.2), (0.8, 0.2), (count, 2))
        self._steps[which] = 0
        self._ended[which] = False

    def _distance(self) -> Array:
        return np.asarray(np.linalg.norm(self.place - self.position, axis=1))

    def _observe(self) -> Float32:
        way, cosine, sine = self.place - self.position, np.cos(self._heading), np.sin(self._heading)
        ahead = way[:, 0] * cosine + way[:, 1] * sine
        aside = way[:, 1] * cosine - way[:, 0] * sine
        return np.stack([ahead, aside], axis=1).astype(np.float32)


class LiveMobileBase(MobileBases):
    """One base that drives on whether an action comes or not."""

    def __init__(self) -> None:
        super().__init__(1)
        self._wanted = np.zeros((1, 2))
        self._sent = False

    def on_configure(self, node: Any) -> None:
        pass

    def poll(self) -> bool:
        return True

    def send(self, action: Array) -> None:
        self._wanted, self._sent = np.array(action), True

    def applied(self) -> NDArray[np.uint8]:
        sent, self._sent = self._sent, False
        return np.full(1, sent, np.uint8)

    def step(self, action: Any) -> StepResult:
        return super().step(self._wanted)

    def hold(self) -> None:
        self._wanted = np.zeros((1, 2))

    def shutdown(self) -> None:
        self.hold()


def make(instances: int, options: dict[str, Any]) -> MobileBases:
    return MobileBases(instances)


def make_live(instances: int, options: dict[str, Any]) -> LiveMobileBase:
    return LiveMobileBase()


def installed(folder: Path) -> None:
    """Make a folder a place of installed packages, with one that names both bridges."""
    package = folder / 'mobile_base-1.0.dist-info'
    package.mkdir()
    (package / 'METADATA').write_text('Metadata-Version: 2.1\nName: mobile-base\nVersion: 1.0\n')
    (package / 'entry_points.txt').write_text(
        '[nrl_ros.bridges]\n'
        'mobile_base = tests.unit.mobile_base:make\n'
        'mobile_base_live = tests.unit.mobile_base:make_live\n'
    )
