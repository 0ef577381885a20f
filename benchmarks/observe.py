#!/usr/bin/env python3
"""What it costs to look at a run: a recorder beside it; and how fast a recording is learned again.

    .venv/bin/python benchmarks/observe.py [--json FILE] [--only steps arm page] [--pairs N]
    .venv/bin/python benchmarks/observe.py --only arm --arm-seconds 3600    an hour of one arm

steps: CartPole with 256 instances, three processes, in turns with a recorder and without; the share
of steps per second that is left is the median over the pairs. arm: a simulated UR5e with an action
in each of 125 periods a second; latency with a recorder, then without it, of one run; size of the
recording, and its replay; --arm-seconds is how long it is recorded. page: the share of one core
that the live page takes (page_cost.py). Figures of an hour are those of these seconds, times so
many. For an otherwise idle machine of two cores. FILE keeps the figures that are not measured anew.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import arm_stack, machine, page_cost
from benchmarks.arm_realtime import RATE_HZ, spread
from nrl_ros.cli.replay import replay
from nrl_ros.ros.qos import RECORDED
from nrl_ros.storage.recordings import Recording

INSTANCES = 256
_HOUR_S = 3600.0
_RECORDER = 'nrl_ros.nodes.recorder'


def train(folder: Path, steps: int, *, record: bool) -> dict[str, Any]:
    """Train CartPole over ROS 2, and return the summary of the run."""
    command = [sys.executable, '-m', 'nrl_ros.cli.main', 'train', 'cartpole']
    command += ['--instances', str(INSTANCES), '--steps', str(steps), '--episodes', '0']
    command += ['--quiet', '--out', str(folder), *(['--record'] if record else [])]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return dict(json.loads((folder / 'summary.json').read_text()))


def steps_share(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Measure how many steps per second are left where a run is recorded."""
    shares: list[float] = []
    speeds: list[list[float]] = []
    recorded: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for pair in range(options.pairs):
            speed = {}
            # Which comes first changes, since a machine gets warm.
            for record in (False, True) if pair % 2 else (True, False):
                folder = Path(name, f'{pair}_{record}')
                summary = train(folder, options.steps, record=record)
                speed[record] = summary['steps_per_second']
                recorded = summary.get('recording', recorded)
            speeds.append([speed[False], speed[True]])
            shares.append(speed[True] / speed[False])
            console.print(f'{speed[False]:,.0f} steps/s, {speed[True]:,.0f} recorded')
    return {
        'recorder_steps_share': round(statistics.median(shares), 3),
        'recorder_steps_shares': [round(share, 3) for share in sorted(shares)],
        'steps_per_second': speeds,
        'steps_recording': recorded,
    }


def arm(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Measure latency and size of an arm that is recorded at 125 Hz, and replay the recording."""
    latency = {}
    os.environ[RECORDED] = '1'
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with arm_stack.Stack(folder, RATE_HZ) as stack:
            stack.start(_RECORDER, {'folder': str(folder / 'recording')})
            listener = stack.listener()
            listener.until((folder / 'recording').is_dir, 'a recorder', 60.0)
            stack.start_learning()
            listener.until(lambda: listener.actions > 20, 'actions', 60.0)
            listener.spin(3.0)
            for recorded in (True, False):
                if not recorded:
                    process = stack.processes.pop(_RECORDER)
                    process.send_signal(signal.SIGINT)
                    process.wait(30.0)
                    listener.spin(1.0)
                listener.clear()
                longer = options.arm_seconds if recorded else None
                listener.spin(longer or options.seconds)
                latency[recorded] = spread(listener.latency_ms())
        files = list((folder / 'recording').glob('*.mcap'))
        size = sum(file.stat().st_size for file in files)
        done = replay(folder / 'recording')
        lost = Recording(folder / 'recording').lost()
    result = done.lives[0].result
    console.print(
        f'{done.recorded_s:.1f} s in {done.seconds:.2f} s, {result.actions:,} actions, '
        f'{result.different_actions:,} otherwise; latency {latency}'
    )
    exact = not result.left and all(one.equal for one in result.compared)
    exact &= not result.different_actions
    if not exact:
        console.print(f'the replay is not exact: {result.lines()}, {done.gaps[:5]}')
    del os.environ[RECORDED]
    return {
        'replay_exact': exact,
        'replay_speed': round(done.recorded_s / done.seconds, 1),
        'recorded_s': round(done.recorded_s, 1),
        'recorded_mib': round(size / 2**20, 1),
        'dropped': None if lost is None else sum(lost.values()),
        'missing': len(done.gaps),
        'replayed_actions': result.actions,
        'mib_per_hour': round(size / 2**20 / done.recorded_s * _HOUR_S, 1),
        'latency_ms_recorded': latency[True],
        'latency_ms': latency[False],
    }


MEASURES: dict[str, Callable[[argparse.Namespace, Console], dict[str, Any]]] = {
    'steps': steps_share,
    'arm': arm,
    'page': page_cost.page,
}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=Path, help='file for the figures')
    parser.add_argument('--only', nargs='+', choices=list(MEASURES), default=list(MEASURES))
    parser.add_argument('--pairs', type=int, default=3, help='of runs of steps')
    parser.add_argument('--steps', type=int, default=2_000_000, help='of each of these runs')
    parser.add_argument('--seconds', type=float, default=60.0, help='with and without, of arm [s]')
    parser.add_argument('--arm-seconds', type=float, help='with, of arm, in place of --seconds [s]')
    options = parser.parse_args()
    os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
    console = Console()
    found: dict[str, Any] = {}
    if options.json is not None and options.json.is_file():
        found = json.loads(options.json.read_text())
    for name in options.only:
        found |= MEASURES[name](options, console)
    found |= {'machine': machine.machine('mcap', 'zstandard', 'numpy')}
    console.print_json(json.dumps(found))
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + '\n')
    if not found.get('replay_exact', True):
        raise SystemExit('error: the recording of the arm did not give the weights of its run')


if __name__ == '__main__':
    main()
