"""Compare ReachingBridge with neurogym's Reaching1D number by number.

Usage::

    python scripts/verify_reaching_against_neurogym.py [--trials N] [--neurogym-python PYTHON]

neurogym 2.3.1 pins gymnasium 0.29 and cannot stand beside nrl_ros. So this script makes an
environment of its own for it (torch makes that a large download), lets itself run there with
``--trace``, which writes what neurogym does to a file, and compares here. An environment that
already holds neurogym is used instead when its interpreter is given::

    python -m venv FOLDER
    FOLDER/bin/python -m pip install neurogym==2.3.1 torch
    python scripts/verify_reaching_against_neurogym.py --neurogym-python FOLDER/bin/python

Ends with 1 when any number differs by more than 1e-6 (observations are float32).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

# neurogym imports torch without asking for it.
NEUROGYM = ('neurogym==2.3.1', 'torch')
LARGEST = 1e-6
# The trial of 3,000 ms, in neurogym's unit [ms].
PERIOD, FIXATION, REACH = 10, 500, 2500
STEPS = (FIXATION + REACH) // PERIOD
# Chances of stay, plus, minus; the last two cross 0 several times in a trial.
HABITS = ((0.34, 0.33, 0.33), (0.1, 0.45, 0.45), (0.05, 0.9, 0.05), (0.05, 0.05, 0.9))


def write_trace(path: Path, trials: int, seed: int) -> None:
    """Let neurogym do whole trials with random actions, and write down all it gives."""
    try:
        import neurogym
    except ImportError as error:
        raise SystemExit(f'{sys.executable} has no neurogym: {error}\n\n{__doc__}') from error
    task: Any = neurogym.make(
        'Reaching1D-v0', dt=PERIOD, timing={'fixation': FIXATION, 'reach': REACH}
    ).unwrapped
    task.seed(seed)
    task.reset()
    # reset() has taken a step already; the first trial is not whole, so it is only brought to its
    # end. The observation then belongs to the next trial.
    info: dict[str, Any] = {'new_trial': False}
    while not info['new_trial']:
        first, _, _, _, info = task.step(0)
    generator = np.random.default_rng(seed)
    target = np.zeros(trials)
    action = np.zeros((trials, STEPS), np.int32)
    observation = np.zeros((trials, STEPS + 1, len(first)), np.float32)
    reward = np.zeros((trials, STEPS))
    for trial in range(trials):
        target[trial] = task.trial['ground_truth']
        action[trial] = generator.choice(3, STEPS, p=HABITS[trial % len(HABITS)])
        observation[trial, 0] = first
        for step in range(STEPS):
            seen, reward[trial, step], _, _, info = task.step(int(action[trial, step]))
            observation[trial, step + 1] = seen
            if info['new_trial'] != (step == STEPS - 1):
                raise SystemExit(f'a trial of neurogym ended at step {step + 1}, not {STEPS}')
        first = seen.copy()
    np.savez(path, target=target, action=action, observation=observation, reward=reward)


def trace_elsewhere(python: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run this script where neurogym is, and read what it wrote."""
    if not python:
        print(f'making an environment with {NEUROGYM[0]}', flush=True)
        home = folder / 'environment'
        subprocess.run([sys.executable, '-m', 'venv', str(home)], check=True)
        python = str(home / 'bin' / 'python')
        install = [python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
        subprocess.run([*install, *NEUROGYM], check=True)
    trace = folder / 'trace.npz'
    numbers = ['--trials', str(arguments.trials), '--seed', str(arguments.seed)]
    script = str(Path(__file__).resolve())
    subprocess.run([python, script, '--trace', str(trace), *numbers], check=True, cwd=folder)
    with np.load(trace) as arrays:
        return dict(arrays)


def run_bridge(trace: dict[str, Any], integer_target: bool) -> tuple[Any, Any]:
    """The same targets and actions here; observations [N, STEPS + 1, O], rewards [N, STEPS]."""
    from sim_bridge.reaching import ReachingBridge, ReachingOptions

    options = ReachingOptions(
        period_s=PERIOD / 1000,
        fixation_s=FIXATION / 1000,
        reach_s=REACH / 1000,
        integer_target=integer_target,
    )
    bridge = ReachingBridge(len(trace['target']), options)
    observations: list[Any] = [bridge.set_trial(trace['target'])]
    rewards: list[Any] = []
    for step in range(STEPS):
        result = bridge.step(trace['action'][:, step : step + 1])
        if result.truncated.all() != (step == STEPS - 1):
            raise SystemExit(f'a trial of the bridge ended at step {step + 1}, not {STEPS}')
        observations.append(result.observation)
        rewards.append(result.reward)
    return np.stack(observations, axis=1), np.stack(rewards, axis=1)


def compare(trace: dict[str, Any]) -> bool:
    """Print the differences; True when there are none."""
    observation, reward = run_bridge(trace, integer_target=True)
    # The last observation of a trial is neurogym's first one of the next.
    seen = np.abs(observation - trace['observation'])[:, :-1].max()
    paid = np.abs(reward - trace['reward']).max()
    count = len(trace['target'])
    shown = trace['reward'][:, FIXATION // PERIOD :]
    print(f'{count} trials of {STEPS} steps, targets {np.round(trace["target"], 3)[:8]} ...')
    print(f'rewards of neurogym from {shown.min():.6f} to {shown.max():.6f}')
    print(f'largest difference of an observation: {seen:.3e}')
    print(f'largest difference of a reward, integer_target true: {paid:.3e}')
    _, other = run_bridge(trace, integer_target=False)
    far = np.abs(other - trace['reward'])[:, FIXATION // PERIOD :]
    print(
        f'with integer_target false: largest {far.max():.6f}, mean {far.mean():.6f}, '
        f'different in {np.mean(far > LARGEST):.1%} of the rewarded steps'
    )
    same = bool(seen <= LARGEST and paid <= LARGEST)
    print(f'{"equal" if same else "DIFFERENT"} within {LARGEST}')
    return same


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--trials', type=int, default=40, help='whole trials to compare')
    parser.add_argument('--seed', type=int, default=0, help='of targets and actions')
    parser.add_argument('--neurogym-python', default='', help='interpreter that has neurogym')
    parser.add_argument('--trace', type=Path, help="write neurogym's numbers to this file, only")
    arguments = parser.parse_args()
    if arguments.trace:
        write_trace(arguments.trace, arguments.trials, arguments.seed)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        trace = trace_elsewhere(arguments.neurogym_python, Path(folder), arguments)
    return 0 if compare(trace) else 1


if __name__ == '__main__':
    sys.exit(main())
