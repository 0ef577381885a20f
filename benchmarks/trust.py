#!/usr/bin/env python3
"""A thousand random faults over training and an arm: what is learned wrongly, lost, not limited.

    .venv/bin/python benchmarks/trust.py [--quick] --json FILE [--page FILE]

Training: reaching (a reward each step) and cartpole (one an episode) train in three processes in
lockstep, behind a wire that loses, doubles, reorders and makes up messages. Nodes are killed and
stopped, and continue from their newest pair of checkpoints. Every checkpoint is held bit for bit
against an undisturbed run in one process. Arm: the simulated driver and the safety node run in real
time, with a commander that also asks for what is not allowed. Everything that the arm does is held
against its limits, and the time to standstill against its bound.

Keys: ``wrong_updates``, ``lost_checkpoints``, ``limit_violations``, all 0 where nothing is wrong;
``standstill`` by kind of fault. Give it a quiet machine: the arm runs in real time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import arm_stack, machine
from benchmarks.arm_faults import FAULTS
from benchmarks.lossy_link import QUICK_DELAYS_S, QUICK_LOSSES, QUICK_ROUNDS, ROUNDS, measure
from benchmarks.trust_arm import KILLED, MESSAGES, ArmTrial
from benchmarks.trust_training import TASKS, Training
from benchmarks.virtual_network import why_not
from nrl_ros.cli.processes import choose_domain

FAULTS_WANTED, QUICK_FAULTS = 1000, 100
# Share of the faults that befall the arm: each takes seconds of real time.
ARM_SHARE = 0.12
# Of a driver that goes on with its last command: only another safety node can stop it.
_TAKEN_OVER = 'the safety node is killed, the driver keeps its last command'


def train(folder: Path, domain: int, faults: int, seed: int) -> dict[str, Any]:
    """Let faults befall the training of each task, and compare what was learned."""
    done: Counter[str] = Counter()
    compared, wrong, lost = 0, [], []
    for number, task in enumerate(TASKS):
        training = Training(task, folder / task, domain, seed + number)
        training.inject(faults // len(TASKS))
        count, differing = training.compare()
        compared += count
        wrong += [f'{task}: {one}' for one in differing]
        lost += [f'{task}: {one}' for one in training.lost_checkpoints]
        done += training.done
    return {'faults': dict(done), 'compared': compared, 'wrong': wrong, 'lost': lost}


def move(folder: Path, faults: int, seed: int) -> dict[str, Any]:
    """Let faults befall an arm, each kind about as often."""
    kinds = [*FAULTS, *MESSAGES]
    plan = [kinds[number % len(kinds)] for number in range(faults)]
    trial = ArmTrial(folder / 'arm', seed)
    trial.inject(plan)
    kept = ArmTrial(folder / 'kept', seed, keeps_last_command=True)
    kept.inject([KILLED] * max(2, faults // 20))
    standstill = trial.bounds() | {_TAKEN_OVER: kept.bounds()[KILLED]}
    return {
        'faults': dict(trial.done) | {_TAKEN_OVER: kept.done[KILLED]},
        'violations': trial.violations + kept.violations,
        'standstill': standstill,
    }


def cross_hosts(rounds: int) -> dict[str, Any]:
    """Train on three hosts with and without loss, as lossy_link.py does."""
    refused = why_not()
    if refused:
        return {'skipped': refused}
    rows = [measure(QUICK_DELAYS_S[0], loss, rounds)[0] for loss in QUICK_LOSSES]
    return {'rows': rows}


def page(result: dict[str, Any]) -> str:
    """Return the figures as a document."""
    lines = [
        '# Trust: what random faults do',
        '',
        f'Made by `{result["command"]}` with nrl_ros on {result["machine"]}.',
        '',
        'Three processes train in lockstep over ROS 2 behind a wire that loses, doubles, reorders '
        'and makes up messages. They are killed (`SIGKILL` to one, then to the others) and stopped '
        '(`SIGINT`), and continue from their newest pair of checkpoints. An arm is driven in real '
        'time, also faster than is allowed.',
        '',
        '| Key | Value | Of |',
        '| --- | --- | --- |',
        f'| `wrong_updates` | {result["wrong_updates"]} | {result["compared_checkpoints"]:,} '
        'checkpoints, each held bit for bit against an undisturbed run in one process |',
        f'| `lost_checkpoints` | {result["lost_checkpoints"]} | checkpoints that had vanished or '
        'could not be read after a kill or a stop |',
        f'| `limit_violations` | {result["limit_violations"]} | every joint state of the arm held '
        'against the limits of position and speed, and against its guard |',
        '',
        '## Faults',
        '',
        '| Fault | Times |',
        '| --- | --- |',
    ]
    lines += [f'| {kind} | {times:,} |' for kind, times in result['faults'].items()]
    lines += [
        '',
        '## From fault to standstill',
        '',
        'Largest of all times, with the arm at full speed. Command: until the safety node commands '
        'no motion. Arm: until the true tool rests. Bound: what the settings promise '
        '([docs/safety.md](../safety.md)).',
        '',
        '| Fault | Times | Command at rest [s] | Arm at rest [s] | Bound [s] |',
        '| --- | --- | --- | --- | --- |',
    ]
    for kind, row in result['standstill'].items():
        figures = [_seconds(row[key]) for key in ('command_s', 'arm_s', 'bound_s')]
        lines.append(f'| {kind} | {row["times"]} | {" | ".join(figures)} |')
    return '\n'.join(lines + _link_lines(result['lossy_link'])) + '\n'


def _link_lines(link: dict[str, Any]) -> list[str]:
    """The section on three hosts."""
    lines = ['', '## Three hosts and a lossy link', '']
    if 'skipped' in link:
        return [*lines, f'Not measured: {link["skipped"]}.']
    lines += [
        'Lockstep, a round from the environment by way of neuromodulator and learner and back; '
        'more rows: [several_machines.md](../several_machines.md).',
        '',
        '| Round trip [ms] | Packets lost | Rounds a second | RPEs given up |',
        '| --- | --- | --- | --- |',
    ]
    return lines + [
        f'| {row["round_trip_ms"]:.0f} | {row["loss"]:.0%} | {row["rounds_per_s"]} | '
        f'{row["rpes_given_up"]} |'
        for row in link['rows']
    ]


def _seconds(value: float | None) -> str:
    return '–' if value is None else f'{value:.3f}'


def main() -> None:
    """Make the faults, show what came of them, write it down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--quick', action='store_true', help=f'{QUICK_FAULTS} faults')
    parser.add_argument('--faults', type=int, default=0, help=f'instead of {FAULTS_WANTED}')
    parser.add_argument('--seed', type=int, default=1, help='of the faults')
    parser.add_argument('--json', type=Path, help='where the figures go')
    parser.add_argument('--page', type=Path, help='where a document of them goes')
    options = parser.parse_args()
    faults = options.faults or (QUICK_FAULTS if options.quick else FAULTS_WANTED)
    arm = round(ARM_SHARE * faults)
    domain = choose_domain(None)
    arm_stack.DOMAIN = domain
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), time.monotonic()
        trained = train(folder, domain, faults - arm, options.seed)
        console.print(f'training: {trained}')
        moved = move(folder, arm, options.seed)
        console.print(f'arm: {moved}')
        link = cross_hosts(QUICK_ROUNDS if options.quick else ROUNDS)
        console.print(f'three hosts: {link}')
        seconds = time.monotonic() - began
    result = {
        'wrong_updates': len(trained['wrong']),
        'lost_checkpoints': len(trained['lost']),
        'limit_violations': len(moved['violations']),
        'what_is_wrong': trained['wrong'] + trained['lost'] + moved['violations'],
        'compared_checkpoints': trained['compared'],
        'faults': trained['faults'] | moved['faults'],
        'standstill': moved['standstill'],
        'lossy_link': link,
        'seconds': round(seconds, 1),
        'machine': machine.in_words(),
        'command': f'python benchmarks/trust.py --faults {faults} --seed {options.seed}',
    }
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + '\n')
    if options.page:
        options.page.write_text(page(result))


if __name__ == '__main__':
    main()
