"""What the clearance of an arm costs: time of the safety filter in a control period.

Usage: .venv/bin/python benchmarks/clearance.py ROBOT... [--ticks 6000]

ROBOT is a description in config/robots or a file. Each arm is led by random velocities from its
home, so that limits, workspace and clearance are met all the time. Times are those of the
processor, so that other programs count little.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from nrl_ros.robots.arm.robot import Robot, load_robot
from nrl_ros.robots.safety.motion import MotionFilter

# Periods for which a random velocity is wanted.
_SAME = 40


def tick_times(robot: Robot, ticks: int) -> np.ndarray:
    """Return the processor time of each of so many periods [s]."""
    motion = MotionFilter(robot.limits, robot.period_s, guard=robot.guard())
    motion.start(robot.home[None])
    rng, fastest = np.random.default_rng(0), np.array(robot.limits.velocity)
    times = np.empty(ticks)
    for tick in range(ticks):
        if tick % _SAME == 0:
            wanted = rng.uniform(-fastest, fastest)[None]
        begun = time.process_time()
        motion.follow(wanted)
        times[tick] = time.process_time() - begun
    return times


def main() -> None:
    """Print a line for each robot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('robots', nargs='+', metavar='ROBOT')
    parser.add_argument('--ticks', type=int, default=6000, help='periods of each robot')
    options = parser.parse_args()
    for name in options.robots:
        robot = load_robot(name)
        times = 1e3 * tick_times(robot, options.ticks)
        print(
            f'{robot.description.name}: {len(robot.clearance.choice.watched)} pairs of links '
            f'watched, period {1e3 * robot.period_s:.3g} ms; filter and guard: mean '
            f'{times.mean():.2f} ms, 99 % {np.percentile(times, 99):.2f} ms, longest '
            f'{times.max():.2f} ms'
        )


if __name__ == '__main__':
    main()
