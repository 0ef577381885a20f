"""The first minute of twenty-three Gymnasium tasks with ``nrl train gymnasium:ID``, each in a line.

Nothing but the id is given. A run ends after so many steps, or after a minute of training::

    python benchmarks/first_minute.py
    python benchmarks/gymnasium_tasks.py --report docs/results/tasks.md

The tasks of Box2D need ``gymnasium[box2d]``, those of MuJoCo ``gymnasium[mujoco]``.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

IDS = (
    'CartPole-v1', 'MountainCar-v0', 'MountainCarContinuous-v0', 'Pendulum-v1', 'Acrobot-v1',
    'Blackjack-v1', 'CliffWalking-v1', 'FrozenLake-v1', 'Taxi-v4', 'LunarLander-v3',
    'LunarLanderContinuous-v3', 'BipedalWalker-v3', 'CarRacing-v3', 'InvertedPendulum-v5',
    'InvertedDoublePendulum-v5', 'Reacher-v5', 'Pusher-v5', 'Hopper-v5', 'HalfCheetah-v5',
    'Swimmer-v5', 'Walker2d-v5', 'Ant-v5', 'Humanoid-v5',
)  # fmt: skip
# Longest training, and what starting, ending and drawing may take besides [s].
_MINUTE_S, _BESIDES_S = 60, 60
_SEEN = re.compile(r'seen in [\d,]+ random steps: ([^;]*)')


def first_minute(task: str, steps: int, folder: Path) -> dict[str, Any]:
    """Train on an id and return what was seen, chosen and reached, or why not."""
    nrl = Path(sys.executable).with_name('nrl')
    out = folder / task
    command = [nrl, 'train', f'gymnasium:{task}', '--steps', str(steps), '--out', out]
    options = ['--episodes', '0', '--plain', '--compose']
    with subprocess.Popen(
        [*map(str, command), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
    ) as process:
        try:
            said, _ = process.communicate(timeout=_MINUTE_S)
        except subprocess.TimeoutExpired:
            # As Ctrl+C: the run saves what it has learned, and ends.
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=_BESIDES_S)
    summary = out / 'summary.json'
    if not summary.is_file():
        return {'task': task, 'fault': (said.strip().splitlines() or ['nothing'])[-1]}
    data = json.loads(summary.read_text())
    seen = _SEEN.search(said)
    kept = ('steps', 'episodes', 'training_seconds', 'steps_per_second', 'ended')
    means = ('mean_return_first_100', 'mean_return_last_100', 'mean_reward_last_100')
    return {
        'task': task,
        'fault': '',
        'seen': seen.group(1) if seen else '',
        **{name: data[name] for name in (*kept, *means)},
    }


def _number(value: float | None) -> str:
    if value is None:
        return '–'
    return f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.3g}'


def table(runs: list[dict[str, Any]]) -> str:
    """Return the results as a table of Markdown."""
    header = ('Task', 'Seen', 'Steps', 'Seconds', 'Episodes', 'Return, first', 'last', 'A step')
    lines = [f'| {" | ".join(header)} |', f'|{" --- |" * len(header)}']
    for run in runs:
        if run['fault']:
            cells = [run['task'], run['fault'], *['–'] * 6]
        else:
            cells = [
                run['task'],
                run['seen'],
                f'{run["steps"]:,}',
                f'{run["training_seconds"]:.0f}',
                f'{run["episodes"]:,}',
                _number(run['mean_return_first_100']),
                _number(run['mean_return_last_100']),
                _number(run['mean_reward_last_100']),
            ]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def main() -> None:
    """Train on each id in turn, print its line, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--json', type=Path, default=Path('docs/results/first_minute.json'))
    parser.add_argument('--steps', type=int, default=20_000)
    parser.add_argument('--task', nargs='*', default=list(IDS))
    options = parser.parse_args()
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for task in options.task:
            runs.append(first_minute(task, options.steps, Path(folder)))
            print(table(runs).splitlines()[-1], flush=True)
            options.json.write_text(json.dumps(runs, indent=1) + '\n')


if __name__ == '__main__':
    main()
