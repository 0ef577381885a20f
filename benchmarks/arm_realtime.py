#!/usr/bin/env python3
"""One arm in real time: deadlines, jitter, latency; how fast it can go; from fault to standstill.

    .venv/bin/python benchmarks/arm_realtime.py [--seconds N] [--json FILE] [--page FILE]
    .venv/bin/python benchmarks/arm_realtime.py --faults-only --json FILE [--page FILE]
    .venv/bin/python benchmarks/arm_realtime.py --compose --rate 500 --seconds N [--json FILE]

Starts what `ros2 launch nrl_ros arm.launch.py robot:=ur5e sim:=true` starts: driver, safety node,
environment, learner and neuromodulator, each a process of its own, with an action in every control
period. Homing and episodes go on as always. Ten minutes at 125 Hz by default, then shorter turns at
higher rates, then each fault, several times. For an otherwise idle machine of two cores.

With --rate it is this rate alone, without faults. With --compose safety node, environment, learner
and neuromodulator share one process, as with `nrl arm --compose`. All nodes then act within one
cycle, so an action does not come too late: a late cycle begins late. Look at `kept_share` too, in
which a period that never began counts as one without its action.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import arm_stack, machine
from benchmarks.arm_faults import faults
from nrl_ros.ros.scheduling import set_realtime_priority

RATE_HZ = 125.0
FASTER_HZ = (250.0, 500.0, 1000.0)
SUSTAINED = 0.999


def measure(
    folder: Path, rate_hz: float, seconds: float, *, compose: bool = False
) -> dict[str, Any]:
    """Run the whole stack with an action in each period; figures of so many seconds."""
    try:
        return _measured(folder, rate_hz, seconds, compose=compose)
    except arm_stack.NotHeardError as error:
        nothing = spread(np.zeros(0))
        return {
            'rate_hz': rate_hz,
            'seconds': seconds,
            'actions': 0,
            'in_time_share': 0.0,
            'missing': 0,
            'late': 0,
            'missed_periods': 0,
            'stops': 1,
            'stolen_share': 0.0,
            'undisturbed_actions': 0,
            'undisturbed_in_time_share': 0.0,
            'kept_share': 0.0,
            'undisturbed_kept_share': 0.0,
            'latency_ms': nothing,
            'jitter_ms': nothing,
            'command_jitter_ms': nothing,
            'failed': str(error),
        }


def _measured(folder: Path, rate_hz: float, seconds: float, *, compose: bool) -> dict[str, Any]:
    with arm_stack.Stack(folder, rate_hz, compose=compose) as stack:
        stack.start_learning()
        listener = stack.listener()
        listener.until(lambda: listener.actions > 20, 'actions', 60.0)
        # Until what is starting has come to rest, and is no longer in what is counted.
        listener.spin(5.0)
        listener.clear()
        before, stolen_before = listener.counted(), arm_stack.stolen_s()
        listener.spin(seconds)
        after = listener.counted()
        late = after['late_actions'] - before['late_actions']
        latency, periods = listener.latency_ms(), listener.periods_ms()
        commands = listener.command_periods_ms()
        stolen = arm_stack.stolen_s() - stolen_before
        history = np.array(listener.history)
        quiet_actions, quiet_share = undisturbed(history)
        # The same with the periods that never began as actions that were late.
        _, quiet_kept = undisturbed(history + history[:, 2:3] * np.array([1, 1, 0, 0]))
    cycles = json.loads(stack.cycles.read_text()) if stack.cycles.is_file() else {}
    steps, missing, lost = (history[-1] - history[0])[:3].astype(int).tolist()
    return {
        'rate_hz': rate_hz,
        'composed': compose,
        'cycle_us': cycles,
        'seconds': seconds,
        'actions': steps,
        'in_time_share': max(round(1.0 - missing / steps, 6), 0.0) if steps else 0.0,
        'undisturbed_actions': quiet_actions,
        'undisturbed_in_time_share': quiet_share,
        'kept_share': round(1.0 - (missing + lost) / max(steps + lost, 1), 6),
        'undisturbed_kept_share': quiet_kept,
        'missing': missing,
        'late': late,
        'missed_periods': after['overrun_periods'] - before['overrun_periods'],
        'stops': after['stops'] - before['stops'],
        'stolen_share': round(stolen / (seconds * (os.cpu_count() or 1)), 5),
        'latency_ms': spread(latency),
        'jitter_ms': spread(np.abs(periods - 1000.0 / rate_hz)),
        'command_jitter_ms': spread(np.abs(commands - 1000.0 / rate_hz)),
    }


def undisturbed(history: np.ndarray) -> tuple[int, float]:
    """Actions, and the share in time, of the half seconds in which the host took no time away.

    Args:
        history: at each status of the environment: actions, missing ones, lost periods, time
            stolen until then.
    """
    steps, missing, _, stolen = np.diff(history, axis=0).T
    left = stolen < 1e-9
    count = int(steps[left].sum())
    return count, round(1.0 - float(missing[left].sum()) / count, 6) if count else 0.0


def spread(values: np.ndarray) -> dict[str, float]:
    """Median, 99th percentile and largest."""
    if not len(values):
        return {'p50': float('nan'), 'p99': float('nan'), 'max': float('nan')}
    p50, p99 = np.percentile(values, (50, 99))
    return {'p50': round(p50, 3), 'p99': round(p99, 3), 'max': round(float(values.max()), 3)}


def rate_table(rows: list[dict[str, Any]]) -> Table:
    """The figures for people."""
    table = Table(title='an action in every period', title_justify='left')
    for name in (
        'rate',
        'actions',
        'in time',
        'quiet',
        'missing',
        'lost',
        'stops',
        'stolen',
        'latency',
        'jitter',
        'of commands',
    ):
        table.add_column(name, justify='right')
    for row in rows:
        table.add_row(*rate_cells(row))
    return table


def rate_cells(row: dict[str, Any], *, more: bool = False) -> list[str]:
    """Return what is said of one rate, with the amounts behind the figures where there is room."""
    seconds = f' for {row["seconds"]:.0f} s' if more else ''
    actions = f' of {row["undisturbed_actions"]:,}' if more else ''
    return [
        f'{row["rate_hz"]:.0f} Hz{seconds}',
        f'{row["actions"]:,}',
        f'{100 * row["in_time_share"]:.3f} %',
        f'{100 * row["undisturbed_in_time_share"]:.3f} %{actions}',
        str(row['missing']),
        str(row['missed_periods']),
        str(row['stops']),
        f'{100 * row["stolen_share"]:.2f} %',
        *(
            ' / '.join(f'{row[name][key]:.2f}' for key in ('p50', 'p99', 'max'))
            for name in ('latency_ms', 'jitter_ms', 'command_jitter_ms')
        ),
    ]


def cycle_table(cycles: dict[str, dict[str, float]]) -> Table:
    """What the time of a composed arm's period goes into, for people."""
    table = Table(title='a period, in microseconds', title_justify='left')
    table.add_column('part')
    for name in ('mean', 'p50', 'p99', 'max'):
        table.add_column(name, justify='right')
    for part, values in cycles.items():
        table.add_row(part, *(f'{value:,.0f}' for value in values.values()))
    return table


def fault_table(rows: list[dict[str, Any]]) -> Table:
    """From fault to standstill, for people."""
    table = Table(title='from fault to standstill', title_justify='left')
    for name in ('fault', 'command at rest [s]', 'tool at rest [s]', 'bound [s]'):
        table.add_column(name, justify='left' if name == 'fault' else 'right')
    for row in rows:
        bound = '–' if row['bound_s'] is None else f'{row["bound_s"]:.3f}'
        table.add_row(row['fault'], *(_range(row[name]) for name in ('command_s', 'tool_s')), bound)
    return table


def _range(values: list[float]) -> str:
    return f'{min(values):.3f} to {max(values):.3f}' if values else '–'


def page(result: dict[str, Any]) -> str:
    """The figures as a document."""
    lines = [
        '# One arm in real time',
        '',
        f'Made by `{result["command"]}` with nrl_ros on {result["machine"]}.',
        '',
        'UR5e on the simulated driver; driver, safety node, environment, learner and '
        'neuromodulator are processes of their own; an action in every control period. Latency: '
        'from a state to its action, as a third process hears both. Jitter: how far the time '
        'between two states, or two commands to the arm, is from the period. Each as median / '
        '99th percentile / largest. Missing: actions that had not come when the next period began. '
        'Periods lost: those that never began, since the one before ended late. Stolen: share of '
        'the processor time that the host gave to other machines meanwhile; undisturbed: the half '
        'seconds in which it gave none. '
        f'{scheduling()}',
        '',
        '| Rate | Actions | In time | Undisturbed in time | Missing | Periods lost | Stops '
        '| Stolen | Latency [ms] | Jitter of states [ms] | of commands [ms] |',
        '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ]
    for row in result['rates']:
        lines.append(f'| {" | ".join(rate_cells(row, more=True))} |')
    said, quiet = (
        f'{result[key]:.0f} Hz' if result[key] else 'none of them'
        for key in ('highest_sustained_hz', 'highest_undisturbed_hz')
    )
    lines += [
        '',
        f'Highest of these rates with {100 * SUSTAINED:.1f} % in time and no stop: {said}; of what '
        f'was undisturbed: {quiet}.',
        '',
        '## From fault to standstill',
        '',
        'The arm moves at full speed when the fault comes. Command: until the safety node commands '
        'no motion. Tool: until the true tool point rests. Bound: what the settings promise '
        '([docs/safety.md](../safety.md)). Lowest and highest of several times. Joint states stop '
        'with the last one that came, a joint is weak from the first joint state that shows it, '
        'and a service call counts from the call on.',
        '',
        '| Fault | Command at rest [s] | Tool at rest [s] | Bound [s] |',
        '| --- | --- | --- | --- |',
    ]
    for row in result['faults']:
        bound = '–' if row['bound_s'] is None else f'{row["bound_s"]:.3f}'
        cells = [row['fault'], _range(row['command_s']), _range(row['tool_s']), bound]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def scheduling() -> str:
    """Whether the nodes ran under SCHED_FIFO here."""
    refused = set_realtime_priority(arm_stack.LISTENER_PRIORITY)
    set_realtime_priority(0)
    if refused:
        return 'Scheduled as usual: real-time priority was not permitted.'
    return 'Under SCHED_FIFO, as nodes of an arm are where that is permitted.'


def highest(rates: list[dict[str, Any]], share: str) -> float:
    """The highest rate that was kept [Hz]; 0: none."""
    good = [row['rate_hz'] for row in rates if row[share] >= SUSTAINED and not row['stops']]
    return max(good, default=0.0)


def rates_of(folder: Path, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """All that is measured without faults."""
    seconds, compose = options.seconds, options.compose
    rates = [measure(folder, options.rate or RATE_HZ, seconds, compose=compose)]
    if not options.rate:
        faster_s = options.faster_seconds or min(60.0, seconds)
        rates += [measure(folder, rate, faster_s, compose=compose) for rate in FASTER_HZ]
    console.print(rate_table(rates))
    for row in rates:
        if row.get('cycle_us'):
            console.print(cycle_table(row['cycle_us']))
    named = f' --rate {options.rate:g}' if options.rate else ''
    return {
        'in_time_share': rates[0]['in_time_share'],
        'undisturbed_in_time_share': rates[0]['undisturbed_in_time_share'],
        'highest_sustained_hz': highest(rates, 'in_time_share'),
        'highest_undisturbed_hz': highest(rates, 'undisturbed_in_time_share'),
        'rates': rates,
        'machine': machine.in_words(),
        'command': f'python benchmarks/arm_realtime.py{" --compose" if compose else ""}{named} '
        f'--seconds {seconds:g}',
        'date': time.strftime('%Y-%m-%d'),
    }


def main() -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--seconds', type=float, default=600.0, help='at 125 Hz, or at --rate [s]')
    parser.add_argument('--rate', type=float, default=0.0, help='only this one [Hz]')
    parser.add_argument('--compose', action='store_true', help="the arm's nodes in one process")
    parser.add_argument('--faster-seconds', type=float, default=0.0, help='at each higher rate [s]')
    parser.add_argument('--repeats', type=int, default=5, help='of each fault')
    parser.add_argument(
        '--faults-only', action='store_true', help='only these; the rates are those of --json'
    )
    parser.add_argument('--json', type=Path, help='where the figures go')
    parser.add_argument('--page', type=Path, help='where a document of them goes')
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        if options.faults_only:
            if options.json is None:
                parser.error('--faults-only needs --json with the rates of an earlier run')
            result = json.loads(options.json.read_text())
        else:
            result = rates_of(Path(folder), options, console)
        if not options.rate:
            result['faults'] = faults(Path(folder), options.repeats)
            console.print(fault_table(result['faults']))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + '\n')
    if options.page:
        options.page.write_text(page(result))


if __name__ == '__main__':
    main()
