#!/usr/bin/env python3
"""Draws the curve and the film of docs/from_nothing.md.

    .venv/bin/python scripts/arm_alone_figures.py [--curve] [--film]

The curve is of docs/results/arm_alone.json, which benchmarks/arm_alone.py writes. For the film one
simulated arm learns in lockstep for some minutes of its own time; at each of the named times it
reaches greedily for the same two targets. Both by default.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
import matplotlib as mpl
import numpy as np

from benchmarks.arm_alone import CHANGED, LIVE, OTHERS, settings_of
from benchmarks.arm_runs import Training, arms, greedy
from nrl_ros.cli.evaluate import SEED_OFFSET
from nrl_ros.robots.arm.picture import Arm, Reaches, reaches_of
from nrl_ros.robots.arm.robot import load_robot

mpl.use('Agg')

from matplotlib import pyplot  # noqa: E402
from matplotlib.animation import FuncAnimation, PillowWriter  # noqa: E402

RESULTS = Path(__file__).resolve().parent.parent / 'docs' / 'results'
FILM_MIN = (0.0, 1.0, 2.0, 4.0)
FILM_TARGETS, FILM_EVERY, FILM_SEED = 2, 5, 0
SHIPPED = next(iter(CHANGED))


def curve(result: dict[str, Any], path: Path) -> None:
    """Draw success by minutes of the arm's time: in real time, and in lockstep beside others."""
    figure, axes = pyplot.subplots(figsize=(7.0, 3.8), layout='constrained')
    rows = [
        ('live', LIVE['ur5e'], 'NRL in real time over ROS 2', '#1f6fb2', '-'),
        ('lockstep', SHIPPED, 'NRL in lockstep', '#1f6fb2', ':'),
        ('lockstep', OTHERS['sac'], 'SAC with its replay, lockstep', '#c1272d', ':'),
        ('lockstep', OTHERS['ppo'], 'PPO, lockstep', '0.5', ':'),
    ]
    for group, title, label, colour, style in rows:
        for number, run in enumerate(result[group].get(title, [])):
            points = [(0.0, 0.0)] + [(p['minutes'], p['success_2cm']) for p in run['curve']]
            minutes, shares = np.array(points).T
            axes.plot(
                minutes, 100.0 * shares, style, color=colour, label=label if not number else None
            )
    axes.axhline(90.0, color='0.7', linewidth=0.8)
    axes.set_xlabel("minutes of the arm's own time")
    axes.set_ylabel('held-out targets within 2 cm [%]')
    axes.legend(frameon=False, loc='lower right')
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def film(path: Path) -> None:
    """Let one arm learn, and film what it does on the way."""
    settings = settings_of('ur5e', FILM_SEED)
    training, scenes = Training(settings), []
    period_s = training.environment.spec.control_period_s
    for minutes in FILM_MIN:
        training.run(round(60.0 * minutes / period_s))
        snapshot = training.learner.snapshot() if minutes else None
        scenes.append(greedy_reaches(settings, snapshot))
    training.close()
    figure = pyplot.figure(figsize=(3.6, 3.4))
    axes: Any = figure.add_axes((0.02, 0.02, 0.9, 0.9), projection='3d')
    axes.view_init(elev=22, azim=-55)
    every = [
        (scene, number, step)
        for scene in range(len(scenes))
        for number in range(FILM_TARGETS)
        for step in range(0, len(scenes[scene].position), FILM_EVERY)
    ]
    last = scenes[-1]
    shown = np.concatenate([one.position[::FILM_EVERY, :FILM_TARGETS] for one in scenes])
    arm = Arm(last, shown.reshape(-1, last.position.shape[-1]))
    arm.make_room(axes)
    axes.set_xlabel(''), axes.set_ylabel(''), axes.set_zlabel('')
    drawn: list[Any] = []

    def show(frame: tuple[int, int, int]) -> list[Any]:
        scene, number, step = frame
        one = scenes[scene]
        while drawn:
            drawn.pop().remove()
        drawn.extend(arm.draw(axes, one.position[step, number]))
        drawn.extend(axes.plot(*one.tool[: step + 1, number].T, color='#1f6fb2', linewidth=1.5))
        drawn.append(axes.scatter(*one.target[number], color='#c1272d', s=40, depthshade=False))
        distance = 100.0 * float(np.linalg.norm(one.tool[step, number] - one.target[number]))
        axes.set_title(f'after {FILM_MIN[scene]:g} min: {distance:.1f} cm away', fontsize=10)
        return drawn

    moving = FuncAnimation(figure, show, frames=every, blit=False, cache_frame_data=False)
    moving.save(path, writer=PillowWriter(fps=10), dpi=70)
    pyplot.close(figure)


def greedy_reaches(settings: Any, snapshot: dict[str, Any] | None) -> Reaches:
    """The first greedy episodes of some arms."""
    made: list[Any] = []
    books = arms(settings, FILM_TARGETS, made.append)
    (environment,) = made
    act, state = greedy(settings, snapshot, books), books.begin(SEED_OFFSET + FILM_SEED)
    poses = [environment.pose()]
    for _ in range(settings.environment.bridge.options['episode']['steps']):
        state = books.advance(act(state)).state
        poses.append(environment.pose())
    rollout = {name: np.array([pose[name] for pose in poses]) for name in poses[0]}
    return reaches_of(
        load_robot('ur5e'),
        rollout,
        period_s=books.info.spec.control_period_s,
        success_radius_m=settings.environment.bridge.options['episode']['success_radius_m'],
    )


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--curve', action='store_true', help='only the curve')
    parser.add_argument('--film', action='store_true', help='only the film')
    options = parser.parse_args()
    both = options.curve == options.film
    if both or options.curve:
        result = json.loads((RESULTS / 'arm_alone.json').read_text())
        curve(result, RESULTS / 'arm_alone.png')
    if both or options.film:
        film(RESULTS / 'arm_alone.gif')


if __name__ == '__main__':
    main()
