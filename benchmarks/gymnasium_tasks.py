"""What the preset 'robust' reaches on Gymnasium's tasks, beside PPO of stable-baselines3.

Each run is one process without ROS, with the preset and nothing else that is the task's own. Runs
that are in the file already are not made again, so that a long series can be cut short::

    python benchmarks/gymnasium_tasks.py --seeds 5 --method nrl ppo
    python benchmarks/gymnasium_tasks.py --seeds 3 --ideas
    python benchmarks/first_minute.py
    python benchmarks/gymnasium_tasks.py --report docs/results/tasks.md

PPO has the settings that stable-baselines3 gives it, with observations and rewards normalised
(VecNormalize); it needs the packages of the extra ``yardstick``. LunarLander needs
``gymnasium[box2d]``, the tasks of MuJoCo ``gymnasium[mujoco]``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from benchmarks import first_minute
from benchmarks.machine import machine
from nrl_ros.cli.evaluate import SEED_OFFSET, evaluate_snapshot
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.settings.presets import PRESETS
from nrl_ros.settings.run import RunSettings, check

# Episodes of which a return is the mean.
_RECENT, _SCORED = 100, 20
# None of these seeds was used for finding the preset.
_FIRST_SEED = 100
# Points of a learning curve that are kept.
_POINTS = 40


@dataclass(frozen=True)
class Task:
    """A task and what counts as solved.

    Attributes:
        id: as Gymnasium has it.
        goal: mean return that one would like to see.
        steps: of training.
        searched: the preset was found on it; otherwise it is only judged.
    """

    id: str
    goal: float
    steps: int
    searched: bool = False


TASKS = (
    Task('CartPole-v1', 500.0, 300_000, searched=True),
    Task('Pendulum-v1', -250.0, 600_000, searched=True),
    Task('Acrobot-v1', -90.0, 300_000, searched=True),
    Task('LunarLander-v3', 200.0, 500_000, searched=True),
    Task('InvertedPendulum-v5', 1000.0, 300_000, searched=True),
    Task('FrozenLake-v1', 0.7, 300_000),
    Task('Reacher-v5', -10.0, 300_000),
    Task('MountainCarContinuous-v0', 90.0, 300_000),
    Task('HalfCheetah-v5', 2000.0, 500_000, searched=True),
)


@dataclass(frozen=True)
class Idea:
    """Settings that were tried on one task beside the preset's.

    Attributes:
        task: its id.
        name: of the idea, for people.
        settings: by node and name.
    """

    task: str
    name: str
    settings: dict[str, Any]


IDEAS = (
    Idea(
        'MountainCarContinuous-v0',
        'sees further',
        {'neuromodulator.critic.discount': 0.997, 'learner.plasticity.trace_decay': 0.98},
    ),
    Idea(
        'Pendulum-v1',
        'sees less far',
        {'neuromodulator.critic.discount': 0.95, 'learner.plasticity.trace_decay': 0.85},
    ),
)


def settings_of(task: Task, seed: int, more: Mapping[str, Any]) -> RunSettings:
    """Return the preset for a task; the id, seed, limit and ``more`` are all that is added."""
    nodes: dict[str, Any] = {
        'learner': {'preset': 'robust', 'seed': seed},
        'neuromodulator': {'preset': 'robust', 'critic.seed': seed},
        'environment': {
            'preset': 'robust',
            'seed': seed,
            'bridge.name': 'gymnasium',
            'bridge.options.id': task.id,
            'stop.steps': task.steps,
        },
    }
    for key, value in more.items():
        node, _, name = key.partition('.')
        nodes[node][name] = value
    return check(nodes, source=task.id)


def curve_of(returns: list[float], at: list[int]) -> dict[str, Any]:
    """Return figures of exploring episodes.

    Args:
        returns: of the episodes, in the order in which they ended.
        at: steps of all instances by then.
    """
    values, steps = np.array(returns), np.array(at)
    sums = np.concatenate([[0.0], values.cumsum()])
    width = min(_RECENT, len(values))
    means = (sums[width:] - sums[:-width]) / width if width else np.zeros(0)
    ends = steps[width - 1 :] if width else steps
    kept = np.linspace(0, max(len(means) - 1, 0), min(_POINTS, len(means))).astype(int)
    return {
        'last': float(means[-1]) if len(means) else None,
        'best': float(means.max()) if len(means) else None,
        'best_at': int(ends[means.argmax()]) if len(means) else None,
        'curve': [[int(ends[i]), round(float(means[i]), 3)] for i in kept],
    }


def train_nrl(task: Task, seed: int, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Train with the preset and score the last policy, greedy, on starts that it has not seen."""
    settings = settings_of(task, seed, more or {})
    run = InProcessRun(settings)
    returns: list[float] = []
    at: list[int] = []
    start = time.perf_counter()
    try:
        for ends in run.steps():
            if ends is not None:
                returns += ends.episode_return.tolist()
                at += [run.episodes.total_steps] * len(ends.episode_return)
            if run.episodes.total_steps >= task.steps:
                break
        seconds = time.perf_counter() - start
        score = evaluate_snapshot(
            settings, run.learner.snapshot(), episodes=_SCORED, seed=SEED_OFFSET + seed
        )
    finally:
        run.close()
    return {'greedy': score.mean, 'seconds': seconds, **curve_of(returns, at)}


def train_ppo(task: Task, seed: int) -> dict[str, Any]:
    """Train PPO with the settings that stable-baselines3 gives it, 8 environments, normalised."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import VecNormalize

    # On few cores, torch's threads wait for each other far longer than they compute.
    torch.set_num_threads(1)
    returns: list[float] = []
    at: list[int] = []

    def note_ends(values: dict[str, Any], _globals: dict[str, Any]) -> bool:
        for info in values['infos']:
            if 'episode' in info:
                returns.append(float(info['episode']['r']))
                at.append(model.num_timesteps)
        return True

    plain = make_vec_env(task.id, 8, seed=seed)
    # Choices have no mean and variance.
    numbers = isinstance(plain.observation_space, gymnasium.spaces.Box)
    environment = VecNormalize(plain) if numbers else plain
    model = PPO('MlpPolicy', environment, seed=seed, device='cpu')
    start = time.perf_counter()
    model.learn(task.steps, callback=note_ends)
    seconds = time.perf_counter() - start
    if isinstance(environment, VecNormalize):
        environment.training = environment.norm_reward = False
    environment.seed(SEED_OFFSET + seed)
    mean = np.mean(evaluate_policy(model, environment, _SCORED, warn=False)[0])
    environment.close()
    return {'greedy': float(mean), 'seconds': seconds, **curve_of(returns, at)}


TRAINERS: dict[str, Callable[[Task, int], dict[str, Any]]] = {'nrl': train_nrl, 'ppo': train_ppo}


def _cell(runs: list[dict[str, Any]], name: str) -> str:
    """Return mean, and lowest to highest over seeds."""
    values = [run[name] for run in runs if run[name] is not None]
    if not values:
        return '-'
    mean, low, high = float(np.mean(values)), min(values), max(values)
    digits = 2 if abs(mean) < 2 else 0 if abs(mean) >= 100 else 1
    said = f'{mean:,.{digits}f}'
    return said if len(values) == 1 else f'{said} ({low:,.{digits}f} to {high:,.{digits}f})'


_HEAD = """# Tasks of Gymnasium with the preset `robust`

Made by `benchmarks/gymnasium_tasks.py --report`; do not edit. One setting for all tasks, `preset:
robust`, found on the tasks marked *searched* (with other seeds) and only judged on the others. Mean
over seeds, with the lowest and highest in brackets. *Exploring* is the mean return of the last 100
training episodes, *best* the highest mean of 100 in a row, *greedy* the last policy without noise
over 20 new starts. A goal is reached if exploring or greedy is at least that much. Wall time is
that of the training alone, in one process on a shared machine, so only its order of magnitude
counts. PPO is stable-baselines3's, with its own settings, 8 environments, and observations and
rewards normalised; on tasks without a line of it, it was not run.

"""
_REMARKS = """## What is not reached

What it does not reach, what was tried, and why as far as it is known. What was tried is of one seed
each, if nothing else is said, with settings on the way to the preset: it says where to look, not
what is better.

- Seeds differ: of five, two are slow on CartPole and one on FrozenLake; of four, three are slow on
  Pendulum, and one never begins on Acrobot. The reason is not known. It may be AMSGrad, which never
  forgets an early large error.
- LunarLander learns to hover to the end of the episode: the reward for landing is further ahead
  than the discount of 0.98 looks. With 0.99 one seed came to 142 after 200,000 steps and fell to
  -18; with 0.995 another stayed below -300. With backpropagation in place of noise the returns
  were -160, so that noise is not all that limits it.
- MountainCarContinuous learns to stand still: every step costs its force, and the reward for the
  goal, some 200 steps ahead, is not seen with a discount of 0.98. With 0.997 (below) it is
  learned where the first episodes find the goal by chance, and not where they do not. Noise of
  the neurons that goes on in one direction for 100 steps, with actions drawn from the noisy pass,
  came to 91 with two seeds of four; together with 0.997 it came to -95. A deviation of a whole
  half range: -59.
- Pendulum wants the contrary: with a discount of 0.95 and traces of 0.85 (below) it is learned.
  With 0.95 alone -314 after 300,000 steps, with a deviation of a whole half range too -318; with
  a learned deviation and the preset's discount -1,216, with noise that goes on for ten steps
  -1,329.
- Exploring and greedy returns differ most where actions are real numbers: the deviation of 0.5 half
  ranges costs much on Reacher. `policy.std_of_state: false` learns it; it is not in the preset,
  since it was not tried on these tasks.
- Tried and left: Adam (CartPole fell from 494 to 123 after it was solved, and a decay of the rate
  did not prevent that), AMSGrad with mean squares over 1,000 updates (one failure threw a good
  policy away), smaller first output weights (Acrobot did not begin within 300,000 steps), a
  deviation that depends on the state (Pendulum -1,109 in place of -295).
"""
_TRIED = """## What was tried beside the preset

The preset, and what the idea changes; tables as above. These settings are of one task each, so none
of them is in the preset.

"""
_MINUTE = """## The first minute

`nrl train gymnasium:ID`, with nothing but the id, for 20,000 steps or a minute of training: does it
start, and does it begin to learn? The settings are chosen by `nrl train` from a few hundred random
steps. *Return* is the mean of the first and the last 100 episodes, exploring; *a step* is the mean
reward a step of the last 100.

"""
_COLUMNS = ('Task', 'Goal', 'Method', 'Seeds', 'Steps', 'Exploring', 'Best', 'Greedy', 'Reached')


def table(data: dict[str, Any], methods: Mapping[str, str]) -> str:
    """Return the runs of some methods, a line for each task and method that has any.

    Args:
        data: of all runs.
        methods: what is shown, by the method's name.
    """
    lines = [f'| {" | ".join(_COLUMNS)} | Wall [s] |', f'|{" --- |" * (len(_COLUMNS) + 1)}']
    for task in TASKS:
        for method, shown in methods.items():
            runs = [r for r in data['runs'] if (r['task'], r['method']) == (task.id, method)]
            if not runs:
                continue
            reached = sum(max(run['greedy'], run['last'] or -np.inf) >= task.goal for run in runs)
            name = f'{task.id}{" (searched)" if task.searched else ""}'
            lines.append(
                f'| {name} | {task.goal:g} | {shown} | {len(runs)} '
                f'| {runs[0]["steps"]:,} | {_cell(runs, "last")} | {_cell(runs, "best")} '
                f'| {_cell(runs, "greedy")} | {reached} of {len(runs)} '
                f'| {np.mean([run["seconds"] for run in runs]):,.0f} |'
            )
    return '\n'.join(lines) + '\n'


def _ideas() -> str:
    """Return what each idea sets, as a list."""
    lines = []
    for idea in IDEAS:
        values = ', '.join(
            f'`{name}: {json.dumps(value)}`' for name, value in idea.settings.items()
        )
        lines.append(f'- {idea.task}, {idea.name}: {values}')
    return '\n'.join(lines) + '\n'


def report(data: dict[str, Any], minutes: list[dict[str, Any]]) -> str:
    """Return the results as a page.

    Args:
        data: of all runs.
        minutes: of first_minute.py.
    """
    values = '\n'.join(
        f'- {node}: ' + ', '.join(f'`{key}: {json.dumps(value)}`' for key, value in flat.items())
        for node, flat in data['preset'].items()
    )
    measured = ', '.join(f'{key} {value}' for key, value in data['machine'].items())
    methods = table(data, {name: name.upper() for name in TRAINERS})
    ideas = table(data, {idea.name: idea.name for idea in IDEAS})
    minute = f'{_MINUTE}{first_minute.table(minutes)}\n' if minutes else ''
    return (
        f'{_HEAD}{methods}\n{_REMARKS}\nThe preset of these runs:\n\n{values}\n\n'
        f'{_TRIED}{ideas}\n{_ideas()}\n{minute}Measured on: {measured}.\n'
    )


def jobs(
    options: argparse.Namespace,
) -> Iterator[tuple[dict[str, Any], Callable[[], dict[str, Any]]]]:
    """Give what names each run, and what makes it.

    All tasks with one seed come first, so that a series that is cut short has something of each.
    """
    tasks = {task.id: replace(task, steps=options.steps or task.steps) for task in TASKS}
    for seed in range(_FIRST_SEED, _FIRST_SEED + options.seeds):
        if options.ideas:
            for idea in IDEAS:
                task = tasks[idea.task]
                key = {'task': task.id, 'method': idea.name, 'seed': seed, 'steps': task.steps}
                if task.id in options.task:
                    yield key, partial(train_nrl, task, seed, idea.settings)
            continue
        for task in tasks.values():
            for method in options.method:
                key = {'task': task.id, 'method': method, 'seed': seed, 'steps': task.steps}
                if task.id in options.task:
                    yield key, partial(TRAINERS[method], task, seed)


def main() -> None:
    """Make the runs that are missing, and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--json', type=Path, default=Path('docs/results/tasks.json'))
    parser.add_argument('--report', type=Path, help='write this page and make no runs')
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--steps', type=int, default=0, help="of each run; 0: the task's")
    parser.add_argument('--task', nargs='*', default=[task.id for task in TASKS])
    parser.add_argument(
        '--method', nargs='*', default=['nrl'], choices=list(TRAINERS), help='also ppo'
    )
    parser.add_argument('--ideas', action='store_true', help='what was tried, not the methods')
    options = parser.parse_args()
    data: dict[str, Any] = {'runs': [], 'preset': PRESETS['robust'], 'machine': {}}
    if options.json.exists():
        data = json.loads(options.json.read_text())
    if options.report:
        minutes = options.json.with_name('first_minute.json')
        known = json.loads(minutes.read_text()) if minutes.exists() else []
        options.report.write_text(report(data, known))
        return
    if data['preset'] != PRESETS['robust']:
        raise SystemExit(f'{options.json} is of another preset; give --json another file')
    data['machine'] = machine('numpy', 'gymnasium', 'stable-baselines3')
    for key, train in jobs(options):
        if any(key.items() <= run.items() for run in data['runs']):
            continue
        made = train()
        data['runs'].append({**key, **made})
        options.json.write_text(json.dumps(data) + '\n')
        shown = {name: made[name] for name in ('last', 'best', 'greedy', 'seconds')}
        print(
            *key.values(),
            {name: round(value, 2) for name, value in shown.items()},
            flush=True,
        )


if __name__ == '__main__':
    main()
