#!/usr/bin/env python3
"""A scripted person teaches a car to swing out of its valley, by a key for good and one for bad.

    python examples/human_teacher.py                                   # ten seeds, in this process
    nrl train examples/taught_car.yaml --domain-id 7 --namespace taught \
        --set environment.mode=realtime --set environment.bridge.instances=1
    ROS_DOMAIN_ID=7 python examples/human_teacher.py --ros --namespace taught   # beside that run

There is no other reward (docs/people.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from nrl_ros.base.records import Ending, Phase, StateBatch
from nrl_ros.cli.config import resolve
from nrl_ros.environments.people import Person
from nrl_ros.experiments.in_process import InProcessRun

SETTINGS = Path(__file__).with_name('taught_car.yaml')
# Steps of 50 ms: a look about once a second at the last half second; a press 0.2 to 0.4 s later.
LOOK, SPAN, EARLIEST, LATEST = 20, 10, 4, 8
# Less of a change is not noticed, as a share of the height of the valley; how soon one gets used.
NOTICED, USED = 0.01, 0.05


class Teacher(Person):
    """Sees how high the car swings: better than usual is good, worse is bad."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._seen: list[np.ndarray[Any, Any]] = []
        self._due: list[tuple[int, np.ndarray[Any, Any]]] = []
        self._usual, self._now = 0.0, 0
        self.presses = 0

    def reward(self, state: StateBatch) -> np.ndarray[Any, Any]:
        """Return what is pressed at a state [B]: 1, -1, or 0."""
        return self.look(state.observation.astype(np.float64), state.phase)

    def look(self, observation: Any, phase: Any) -> np.ndarray[Any, Any]:
        """Return what is pressed at observations [B, 2], which are scaled as in the settings."""
        place, speed = observation[:, 0] / 2.0 - 0.5, observation[:, 1] / 20.0
        height = (np.sin(3.0 * place) + 1.0) / 2.0 + speed**2 * 300.0
        if (phase == Phase.FIRST).any():
            # A car that begins anew is not compared with where it was.
            self._seen = [np.where(phase == Phase.FIRST, height, one) for one in self._seen]
        self._seen = [*self._seen[-SPAN:], height]
        change = height - self._seen[0]
        looks = self._random.uniform(size=len(height)) < 1.0 / LOOK
        better = change - self._usual
        press = np.where(looks & (np.abs(better) > NOTICED), np.sign(better), 0.0)
        for one in change[looks]:
            self._usual += USED * (one - self._usual)
        self._now += 1
        self._due.append((self._now + int(self._random.integers(EARLIEST, LATEST + 1)), press))
        due = [one for at, one in self._due if at <= self._now]
        self._due = [entry for entry in self._due if entry[0] > self._now]
        pressed = np.sum([np.zeros(len(height)), *due], axis=0) * (phase != Phase.LAST)
        self.presses += int(np.count_nonzero(pressed))
        return pressed


def train(seed: int, person: Person | None) -> np.ndarray[Any, Any]:
    """Length of each episode of a run, and whether it reached the flag [N, 2], in order."""
    flags = (f'{node}.seed={seed}' for node in ('learner', 'environment'))
    run, seen = InProcessRun(resolve(SETTINGS, tuple(flags))), []
    for ends in run.steps(person=person):
        if ends is not None:
            seen += list(zip(ends.length, ends.ending == Ending.TERMINATED, strict=True))
        if run.episodes.total_steps >= run.settings.environment.stop.steps:
            return np.array(seen, np.float64)
    raise AssertionError('the cycle has no end')


def beside_a_run(namespace: str) -> None:
    """Watch the states of a run over ROS 2, and press for it, until Ctrl-C."""
    import rclpy
    from std_msgs.msg import Float32

    from nrl_ros.msg import EnvState

    rclpy.init()
    node, teacher = rclpy.create_node('human_teacher', namespace=namespace), Teacher(0)
    key = node.create_publisher(Float32, 'human_reward/car', 10)

    def on_state(message: Any) -> None:
        seen = np.reshape(message.observation, (message.instances, -1))
        press = teacher.look(seen[:1].astype(np.float64), np.array(message.phase)[:1])[0]
        if press:
            key.publish(Float32(data=float(press)))

    node.create_subscription(EnvState, 'state', on_state, 10)
    rclpy.spin(node)


def main() -> None:
    """Teach ten cars, one after the other; or one beside a run."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--seeds', type=int, default=10)
    parser.add_argument('--ros', action='store_true', help='beside a run over ROS 2')
    parser.add_argument('--namespace', default='', help='with --ros: of the run')
    options = parser.parse_args()
    if options.ros:
        beside_a_run(options.namespace)
    for seed in range(0 if options.ros else options.seeds):
        alone, teacher = train(seed, None), Teacher(seed)
        with_person = train(seed, teacher)
        print(
            f'seed {seed}: {100 * alone[:, 1].mean():.0f} % of {len(alone)} episodes reach the '
            f'flag without the person; with {teacher.presses} presses {len(with_person)} episodes,'
            f' {100 * with_person[-20:, 1].mean():.0f} % of the last 20, after '
            f'{with_person[-20:, 0].mean():.0f} steps',
            flush=True,
        )


if __name__ == '__main__':
    main()
