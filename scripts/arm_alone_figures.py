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
from nrl_ros.robots.arm.picture import Reaches, reaches_of, write_film
from nrl_ros.robots.arm.robot import load_robot

mpl.use('Agg')

from matplotlib import pyplot  # noqa: E402

RESULTS = Path(__file__).resolve().parent.parent / 'docs' / 'results'
FILM_MIN = (0.0, 1.0, 2.0, 4.0)
FILM_TARGETS, FILM_EVERY, FILM_SEED = 2, 5, 0
SHIPPED = next(iter(CHANGED))


def curve(result: dict[str, Any], path: Path) -> None:
    """Draw success by minutes of the arm's time: in real time, and in lockstep beside others."""
    figure, axes = pyplot.subplots(figsize=(7.0, 4.2), layout='constrained')
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
    figure.legend(loc='outside lower center', ncols=2, frameon=False)
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
    moments = [
        one.moment(
            step, number, f'after {minutes:g} min: {100 * one.distance(step, number):.1f} cm away'
        )
        for minutes, one in zip(FILM_MIN, scenes, strict=True)
        for number in range(FILM_TARGETS)
        for step in range(0, len(one.position), FILM_EVERY)
    ]
    write_film(moments, scenes[-1].robot, path, period_s=0.1)


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
