#!/usr/bin/env python3
"""What helps NRL to reach with an arm, and what does not: one setting changed at a time.

    .venv/bin/python scripts/arm_ablation.py {studied,limits,poses} [--seeds 2] [--steps 1500000]

studied: each arm of the study is config/ur5e.yaml with STUDIED and something changed, trained in
this process; the others stay as they are. limits: the file itself, and what makes it reach under
all limits of a real arm. poses: config/fr3_pose.yaml with targets over the whole ranges of the
joints, without the guard. Scored eight times on 500 greedy episodes with unseen targets. Writes
docs/results/arm_ablation.json, arm_limits.json or arm_poses.json and a section of
docs/results/arm_reaching.md after each row. About ten minutes each on one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
import numpy as np

from benchmarks.arm_runs import STUDIED, Training, score, settings_of, write_section
from benchmarks.report import spread
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.inverse import Goals, InverseKinematics
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.arm.targets import Targets

RESULTS = Path(__file__).resolve().parent.parent / 'docs' / 'results'
SCORES, SCORED = 8, 500
PLASTICITY, OPTIONS = 'learner.plasticity.', 'environment.bridge.options.'
# By what is said of them: what is set beside the file's settings.
VARIANTS: dict[str, tuple[str, ...]] = {
    'settings of the study': (),
    'K = 1 noisy pass': (f'{PLASTICITY}samples=1',),
    'K = 2': (f'{PLASTICITY}samples=2',),
    'K = 16': (f'{PLASTICITY}samples=16',),
    'antithetic pairs, as many passes': (
        f'{PLASTICITY}rule=antithetic',
        f'{PLASTICITY}samples=2',
    ),
    'exact gradient (backpropagation)': (f'{PLASTICITY}rule=backpropagation',),
    'layer-normalised steps': (
        f'{PLASTICITY}optimiser=layer_normalised',
        f'{PLASTICITY}learning_rate=0.02',
    ),
    'constant step size': (f'{PLASTICITY}learning_rate_decay=0.0',),
    'critic as baseline, discount 0': (
        'neuromodulator.rpe.baseline=critic',
        'neuromodulator.critic.discount=0.0',
        'neuromodulator.critic.learning_rate=0.003',
    ),
    'critic, discount 0.7, traces kept by 0.7': (
        'neuromodulator.rpe.baseline=critic',
        'neuromodulator.critic.discount=0.7',
        'neuromodulator.critic.learning_rate=0.003',
        f'{PLASTICITY}trace_decay=0.7',
        f'{PLASTICITY}trace_reset=false',
    ),
    'traces kept, decay 0.7': (f'{PLASTICITY}trace_decay=0.7', f'{PLASTICITY}trace_reset=false'),
    'faster running average, 0.5': ('neuromodulator.rpe.rate=0.5',),
    'full speed': (f'{OPTIONS}action.speed_share=1.0',),
    'displacements instead of velocities': (f'{OPTIONS}action.kind=displacement',),
    'five choices a joint': (f'{OPTIONS}action.choices=5',),
    'joints scaled instead of sine, cosine': (f'{OPTIONS}observation.joints=scaled',),
    'error scale 0.03 m': (f'{OPTIONS}observation.error_scale_m=0.03',),
    'no bias': ('learner.network.bias=false',),
    '128 hidden neurons': ('learner.network.hidden_sizes=[128]',),
    '64 and 64 hidden neurons': ('learner.network.hidden_sizes=[64, 64]',),
}
# The same, of the file itself; all are scored with the guard.
WITH_LIMITS: dict[str, tuple[str, ...]] = {
    'as in the file': (),
    'actions cost nothing': (f'{OPTIONS}reward.action_cost=0.0',),
    'slower running average, 0.05': ('neuromodulator.rpe.rate=0.05',),
    'trained without the guard': (f'{OPTIONS}simulation.guard=false',),
}
# Poses of FR3 over the whole ranges of its joints, turned by up to 115 degrees as those of UR5e.
WIDE = (
    f'{OPTIONS}simulation.guard=false',
    f'{OPTIONS}target.spread_rad=3.2',
    f'{OPTIONS}target.orientation.cone_rad=2.0',
)
# Some need more than 6 s at 0.4 rad/s: see downhill.
LONGER = (*WIDE, f'{OPTIONS}episode.steps=250')
HOMEWARD = (*LONGER, f'{OPTIONS}reward.home_cost=2.0')
# What each of POSES changes one thing of.
FINE = (*HOMEWARD, f'{OPTIONS}observation.error_scale_rad=0.1')
POSES: dict[str, tuple[str, ...]] = {
    'as in the file, 6 s': WIDE,
    '10 s': LONGER,
    '10 s, home cost 2': HOMEWARD,
    '10 s, home cost 2, error scale 0.1 rad: **base**': FINE,
    'base, home costs nothing': (*FINE, f'{OPTIONS}reward.home_cost=0.0'),
    'base, home cost 10': (*FINE, f'{OPTIONS}reward.home_cost=10.0'),
    'base, error scale 0.05 rad': (*FINE, f'{OPTIONS}observation.error_scale_rad=0.05'),
    'base, error scale 0.03 m': (*FINE, f'{OPTIONS}observation.error_scale_m=0.03'),
    'base, 0.022 rad for a reward of 1': (*FINE, f'{OPTIONS}reward.scale_rad=0.022'),
    'base, 0.04 rad for a reward of 1': (*FINE, f'{OPTIONS}reward.scale_rad=0.04'),
    'base, full speed': (*FINE, f'{OPTIONS}action.speed_share=1.0'),
    'base, step size halves half as often': (*FINE, f'{PLASTICITY}learning_rate_decay=5000.0'),
    'base, K = 16': (*FINE, f'{PLASTICITY}samples=16'),
    'base, 256 hidden neurons': (*FINE, 'learner.network.hidden_sizes=[256]'),
    'base, critic as baseline, discount 0': (
        *FINE,
        'neuromodulator.rpe.baseline=critic',
        'neuromodulator.critic.discount=0.0',
        'neuromodulator.critic.learning_rate=0.003',
    ),
    'base, joints within 2 rad of home, turned by up to 92 degrees': (
        *FINE,
        f'{OPTIONS}target.spread_rad=2.0',
        f'{OPTIONS}target.orientation.cone_rad=1.6',
    ),
}

Found = dict[str, list[dict[str, Any]]]


def learn(
    overrides: tuple[str, ...],
    scored_with: tuple[str, ...],
    seed: int,
    steps: int,
    *,
    task: str = 'ur5e',
) -> dict[str, Any]:
    """Scores of one run as it goes, and what a million steps cost."""
    settings = settings_of(overrides, seed=seed, task=task)
    scored = settings_of((*overrides, *scored_with), seed=seed, task=task)
    training = Training(settings)
    curve = []
    for part in range(1, SCORES + 1):
        training.run(steps * part // SCORES)
        curve.append(score(scored, training.learner.snapshot(), seed=seed, count=SCORED))
    seconds = training.cpu_s / training.episodes.total_steps * 1e6
    return {'seed': seed, 'curve': curve, 'seconds_per_million': round(seconds, 2)}


def row(name: str, runs: list[dict[str, Any]]) -> str:
    """One line of the table."""
    last = [100.0 * run['curve'][-1]['success_2cm'] for run in runs]
    worst = min(100.0 * part['success_2cm'] for run in runs for part in run['curve'][-3:])
    median = np.mean([run['curve'][-1]['median_mm'] for run in runs])
    first = [
        next((at for at, part in enumerate(run['curve'], 1) if part['success_5cm'] >= 0.99), 0)
        for run in runs
    ]
    reached = f'{max(first)}/{SCORES}' if all(first) else 'not'
    seconds = np.mean([run['seconds_per_million'] for run in runs])
    return f'| {name} | {spread(last)} | {worst:.1f} | {median:.1f} | {reached} | {seconds:.1f} |'


HEAD = """| | Within 2 cm [%] | Worst of the last three | Median [mm] | 99 % within 5 cm | Processor s / 10^6 steps |
| --- | --- | --- | --- | --- | --- |"""  # noqa: E501


def table(found: Found) -> str:
    """All rows."""
    return '\n'.join([HEAD, *(row(name, runs) for name, runs in found.items())])


def pose_row(name: str, runs: list[dict[str, Any]]) -> str:
    """One line of the table of poses."""
    ends = [run['curve'][-1] for run in runs]
    there, near = ([100.0 * end[key] for end in ends] for key in ('success_pose', 'success_2cm'))
    worst = min(100.0 * part['success_pose'] for run in runs for part in run['curve'][-3:])
    middle = ' | '.join(
        f'{np.mean([end[key] for end in ends]):.1f}' for key in ('median_mm', 'median_deg')
    )
    seconds = np.mean([run['seconds_per_million'] for run in runs])
    return (
        f'| {name} | {spread(there)} | {worst:.1f} | '
        f'{np.mean(near):.1f} | {middle} | {seconds:.1f} |'
    )


POSE_HEAD = """| | Within 2 cm and 5° [%] | Worst of the last three | Within 2 cm [%] | Median [mm] | Median [°] | Processor s / 10^6 steps |
| --- | --- | --- | --- | --- | --- | --- |"""  # noqa: E501


def downhill(overrides: tuple[str, ...], *, task: str, count: int = 1000) -> Float64:
    """Return how long inverse kinematics that begins at home takes to poses of a task [n, s].

    Args:
        overrides: of the task's settings.
        task: name of its file.
        count: how many poses are looked at.

    Returns:
        At the task's speed, of those poses that it comes to.
    """
    bridge = settings_of(overrides, task=task).environment.bridge
    options = ReachSettings.model_validate(dict(bridge.options))
    robot = load_robot(options.robot)
    drawn = Targets(options.target, np.random.default_rng(1), robot).draw_poses(count)
    every, home = np.arange(count), np.tile(robot.home, (count, 1))
    found = InverseKinematics(robot).descend(Goals(drawn.point, drawn.rotation), every, home)
    way = np.abs(found.position[found.reached] - robot.home)
    speed = options.action.speed_share * np.array(robot.limits.velocity)
    return np.asarray((way / speed).max(axis=1))


def poses(found: Found, seeds: int, steps: int) -> str:
    """The page's section."""
    times = downhill(FINE, task='fr3_pose')
    shares = [f'{(times < limit).sum() / 10.0:.0f} %' for limit in (np.inf, 6.0, 10.0)]
    rows = '\n'.join([POSE_HEAD, *(pose_row(name, runs) for name, runs in found.items())])
    return f"""`python scripts/arm_ablation.py poses --seeds {seeds} --steps {steps}`:
`config/fr3_pose.yaml` with targets over the whole ranges of the joints (`spread_rad` 3.2), turned
by up to 115 degrees (`cone_rad` 2.0), without the guard; {seeds} seeds of {steps:,} steps in one
process, columns as above. Inverse kinematics that only goes downhill from home comes to
{shares[0]} of 1,000 such poses, {shares[1]} within 6 s and {shares[2]} within 10 s at the speed of
the task.

{rows}"""


def studied(found: Found, seeds: int, steps: int) -> str:
    """The page's section."""
    return f"""`python scripts/arm_ablation.py studied --seeds {seeds} --steps {steps}`:
`config/ur5e.yaml` with `STUDIED` (without the guard, which takes a fifth of the time; a running
average of 0.05; actions that cost nothing) and one thing changed, {seeds} seeds of {steps:,} steps,
in one process. Greedy episodes that end within 2 cm; the worst of the last three of {SCORES} scores
of any seed says how steady it is; the fifth column how much of the run had passed when all seeds
had been within 5 cm in 99 % of episodes. Step sizes were not tuned anew for each row.

{table(found)}"""


def with_limits(found: Found, seeds: int, steps: int) -> str:
    """The page's section."""
    return f"""`python scripts/arm_ablation.py limits --seeds {seeds} --steps {steps}`:
`config/ur5e.yaml` itself with one thing changed, columns as above; all of them scored with the
guard, as a real arm is held.

{table(found)}"""


class Ablation(NamedTuple):
    """One set of variants, and where it is told.

    Attributes:
        variants: by what is said of them, what is set beside the file of the task.
        write: returns the section of the page, from the runs of each variant, seeds and steps.
        row: returns the line of a variant.
        file: of all scores, in docs/results.
        title: of the section.
        task: name of its file.
        scored_with: what is set besides while scores are made.
    """

    variants: dict[str, tuple[str, ...]]
    write: Callable[[Found, int, int], str]
    row: Callable[[str, list[dict[str, Any]]], str]
    file: str
    title: str
    task: str = 'ur5e'
    scored_with: tuple[str, ...] = ()


ABLATIONS = {
    'studied': Ablation(
        {name: (*STUDIED, *more) for name, more in VARIANTS.items()},
        studied,
        row,
        'arm_ablation.json',
        'What helped',
    ),
    'limits': Ablation(
        WITH_LIMITS,
        with_limits,
        row,
        'arm_limits.json',
        'With all limits',
        scored_with=(f'{OPTIONS}simulation.guard=true',),
    ),
    'poses': Ablation(
        POSES, poses, pose_row, 'arm_poses.json', 'Poses in the whole ranges of fr3', 'fr3_pose'
    ),
}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=tuple(ABLATIONS))
    parser.add_argument('--seeds', type=int, default=2)
    parser.add_argument('--steps', type=int, default=1_500_000)
    options = parser.parse_args()
    asked = ABLATIONS[options.what]
    found: Found = {}
    for name, overrides in asked.variants.items():
        found[name] = [
            learn(overrides, asked.scored_with, seed, options.steps, task=asked.task)
            for seed in range(options.seeds)
        ]
        print(asked.row(name, found[name]), flush=True)
        (RESULTS / asked.file).write_text(json.dumps(found, indent=1) + '\n')
        text = asked.write(found, options.seeds, options.steps)
        write_section(RESULTS / 'arm_reaching.md', asked.title, text)


if __name__ == '__main__':
    main()
