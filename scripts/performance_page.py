#!/usr/bin/env python3
"""Write docs/performance.md from the figures that the benchmarks left in docs/results.

.venv/bin/python benchmarks/ros_loop.py --json docs/results/ros_loop.json
.venv/bin/python benchmarks/core.py --json docs/results/core.json
.venv/bin/python benchmarks/traces.py --json docs/results/traces.json
.venv/bin/python benchmarks/arm_realtime.py --compose --rate 500 --seconds 25 --json FILE
.venv/bin/python scripts/performance_page.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / 'docs' / 'results'

PAGE = """# Performance

Made by `scripts/performance_page.py` from `docs/results/ros_loop.json`, `docs/results/core.json`,
`docs/results/traces.json` and `docs/results/arm_composed.json`; do not edit. `make bench` measures
all of it again. Times differ from machine to machine, and on a shared one from minute to minute:
look at the ratios, both sides of which took turns within one run.

Machine: {machine}.

## Closed loop over ROS 2

`.venv/bin/python benchmarks/ros_loop.py --json docs/results/ros_loop.json`

From publishing a state to having its action: CartPole, one instance, learning on, beside a
ping-pong of two plain rclpy nodes with messages of the same size and QoS.

{trips}

With a reward at every step the action waits for a message that goes through a third process:
environment, neuromodulator, learner, environment instead of environment, learner, environment.
Three hops instead of two make a ratio of 1.5.

Three processes in lockstep, learning on, `config/cartpole.yaml`; median of the runs, lowest and
highest:

{speeds}

The time of a tick hardly depends on the number of instances: most of it is taken by the middleware,
which wakes three processes one after the other, and all instances share it. For a network that
delays and loses packets, see [several_machines.md](several_machines.md#what-a-lossy-network-costs).

Profiles (in the commit messages) led to three changes. rclpy's message objects took 50 us where the
middleware needs 8, so the messages of the step path are read and written as bytes
(`nrl_ros/ros/wire.py`). The tasks of its executor took another 50 us for each message
(`nrl_ros/ros/executor.py`). The step is added to the trace, and the next noise is drawn, after the
action was sent. Spinning before waiting, UDP instead of shared memory, and asynchronous publishing
gained nothing.

rclpy's own executor without tasks, EventsExecutor (Jazzy from 7.1.4 on, Kilted), is as fast.
`benchmarks/ros_loop.py --executors step events` measures both in turns; two runs each, on a machine
faster than that of the tables:

| Figure | StepExecutor | EventsExecutor |
| --- | --- | --- |
| round trip p50, reward at the episode's end [us] | 187, 210 | 195, 191 |
| round trip p50, reward at every step [us] | 346, 343 | 341, 339 |
| steps/s, 1 instance | 2,859, 2,831 | 3,124, 3,475 |
| steps/s, 256 instances | 595,114, 475,389 | 588,884, 567,159 |
| steps/s, 1,024 instances | 1,652,014, 1,546,875 | 1,895,729, 1,700,821 |

It cannot take StepExecutor's place yet: a callback that takes a message's info, by which the nodes
tell publishers apart, ends it with a SystemError in rclpy 7.1.5 and 9.1.2. The figures are without
that information. A test in `tests/ros/test_executor.py` fails once it is mended.

## One arm in one process

`.venv/bin/python {arm_command} --json docs/results/arm_composed.json`

UR5e on the simulated driver, all limits and learning on, an action in each period: safety node,
environment, learner and neuromodulator in one thread, the driver and a watchdog in processes of
their own ([safety.md](safety.md#one-process-and-a-watchdog-beside-it)), a listener that hears
states and actions besides.

{arm_share}

What a period of {arm_period} us goes into, on the wall clock:

{cycles}

*what follows environment*: the action (passes, draw), its command, the safety node's intake of it,
the reward-prediction error and the update of the weights. *joint states*: read by safety node and
environment, each with its checks. *safety*: supervisor, motion filter and guard, the command, and
the report to others.

What made periods be lost, by profiles of each callback: statuses of learner and safety node, 1.0
and 0.7 ms, came due in one cycle, and so did a wait of 0.18 ms for 56 services. Now one of them
comes in a cycle. A sixth of a period made and took apart message objects of rclpy; commands, the
safety node's states and joint states are bytes now (`nrl_ros/ros/wire.py`). Before and after took
turns on that machine, two turns of 12 s each: the mean work of a period was 1,636 us and is 1,254
us, its 99th percentile 3.7 ms and 2.3 ms, and of 6,000 periods 269 were lost and are 20. An earlier
form woke up three times in a period and built a wait set each time, which took as long as the
safety node.

## One process: against the published loop

`.venv/bin/python benchmarks/core.py --json docs/results/core.json`

The published loop in plain torch (`benchmarks/torch_loop.py`: clean pass, noisy pass, an outer
product a layer at every step, one environment, one thread, autograd left on) beside ours in one
process: CartPole, 64 hidden units, the return delivered at the episode's end, learning on. A test
lets both compute the same update from the same noise. One instance is the environment that the
published loop has (`vectorize: false`). Environment steps a second of processor time; the ratios
are the median of those within a turn:

{published}

## Where the time of a step goes

Microseconds of processor time for a step of all instances, CartPole, by part: the environment's own
step and reset, drawing noise, passes with the draw of the action, adding the step to the traces,
changing the weights; the rest is bookkeeping of episodes and credit windows. *overhead* is the
share of everything except the environment.

{split}

Between two steps of the environment, all of this takes a few calls of compiled code
(`nrl_ros/learning/cycle.py`). They work on the arrays of learner, neuromodulator and episode
tracker, and give the same bits as one message after the other. An unusual step, such as the end of
an aborted episode, is computed as over ROS 2. At 256 instances {share:.0%} of a step is outside of
the environment. Noise, passes and traces are compiled loops near the limit of one thread; most of
the rest is Python code of the bridge.

## How traces grow

One size varied at a time; the figure is the exponent p of its growth, as size to the power p, over
the upper half of the sizes. The last column says between which sizes the cheaper kind changes.

{exponents}

{growth}

## An update beside backpropagation

Microseconds of processor time a step of all instances, its share of the update after 50 steps
included, without the environment: NRL, and REINFORCE by backpropagation with the same delta, in
torch with autograd{bp}.

{updates}

## Traces: dense or as factors

`.venv/bin/python benchmarks/traces.py --json docs/results/traces.json`

Microseconds a step, its share of the credit included. *auto* takes factors for windows of one step
in which more than 200,000 weights are touched, and for longer ones whose rows stay within 2 MiB,
where there are 20 weights or more to each number of a row and that many times the weights touched
make 4.5 million or more; else dense while the traces stay within 12 MiB, else factors. {auto}

{traces}

## Compiled products or numpy's

Microseconds for clean and noisy pass and the presynaptic rows, with the products of all layers
compiled, and with those of numpy. A layer of up to 20,000 weights takes the compiled one.

{passes}
"""


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table."""
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    lines.insert(1, ['---'] * len(lines[0]))
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def trips(data: dict[str, Any]) -> str:
    """Round trips."""
    rows = []
    for name, part in (('at the end of the episode', ''), ('at every step', '_every_step')):
        figures = [
            f'{data[f"{what}{part}_p{percent}_us"]:.0f}'
            for what in ('roundtrip', 'raw')
            for percent in (50, 99)
        ]
        rows.append([name, *figures, f'**{data[f"roundtrip{part}_ratio_p50"]:.2f}**'])
    head = ('Reward', 'p50 [us]', 'p99 [us]', 'raw p50 [us]', 'raw p99 [us]', 'ratio p50')
    return table(head, rows)


def speeds(data: dict[str, Any]) -> str:
    """Steps per second."""
    rows = [
        (
            f'{int(count):,}',
            f'**{value:,}**',
            f'{min(data["steps_per_second_runs"][count]):,}',
            f'{max(data["steps_per_second_runs"][count]):,}',
            f'{1e6 * int(count) / value:,.0f}',
        )
        for count, value in data['steps_per_second'].items()
    ]
    return table(('Instances', 'steps/s', 'lowest', 'highest', 'us a tick'), rows)


def traces(rows: list[dict[str, Any]]) -> str:
    """Dense against factored."""
    return table(
        ('Hidden', 'instances', 'window', 'dense', 'factored', 'auto'),
        (
            (row['hidden'], row['instances'], row['window'], row['dense_us'], row['factored_us'])
            + (row['auto'],)
            for row in rows
        ),
    )


def published(data: dict[str, Any]) -> str:
    """Ours and the published loop."""
    rows = [
        ('published loop, torch', f'{data["torch_steps_per_second"]:,}', '', ''),
        ('the same, autograd off', f'{data["torch_no_grad_steps_per_second"]:,}', '', ''),
    ]
    for count in (1, 256):
        rows.append(
            (
                f'ours, {count} instance{"s" * (count > 1)}',
                f'**{data[f"batch{count}_steps_per_second"]:,}**',
                f'**{data[f"ratio_batch{count}"]:,}**',
                f'{data[f"ratio_no_grad_batch{count}"]:,}',
            )
        )
    return table(('Loop', 'steps/s', 'times published', 'times autograd off'), rows)


def whole(rows: list[dict[str, Any]]) -> str:
    """All columns of a list of figures, by name."""
    names = {'kib': 'KiB', 'us': 'us'}
    head = []
    for key in rows[0]:
        name, _, unit = key.rpartition('_')
        head.append(f'{name} [{names[unit]}]' if unit in names else key.replace('_', ' '))
    return table(head, (row.values() for row in rows))


def in_time(rate: dict[str, Any]) -> str:
    """Return how many of a composed arm's actions were in time, and how many periods began."""
    return (
        f'{rate["actions"]:,} actions at {rate["rate_hz"]:.0f} Hz: {rate["missing"]} came after '
        f'the next period had begun ({100 * rate["in_time_share"]:.2f} % in time), and '
        f'{rate["missed_periods"]} periods never began, since the one before was not over: '
        f'{100 * rate["kept_share"]:.2f} % of all periods had their action.'
    )


def main() -> None:
    """Write the page."""
    loop = json.loads((RESULTS / 'ros_loop.json').read_text())
    cost = json.loads((RESULTS / 'traces.json').read_text())
    core = json.loads((RESULTS / 'core.json').read_text())
    arm = json.loads((RESULTS / 'arm_composed.json').read_text())
    (rate,) = arm['rates']
    machine = loop['machine']
    ratios = sorted(row['auto_over_best'] for row in cost['traces'])
    best = sum(ratio <= 1.05 for ratio in ratios)
    page = PAGE.format(
        machine=f'{machine["cpus"]} processors {machine["processor"]}, Python {machine["python"]}, '
        f'numpy {machine["numpy"]}, {machine["middleware"]}',
        trips=trips(loop),
        speeds=speeds(loop),
        published=published(core),
        arm_command=arm['command'].removeprefix('python '),
        arm_share=in_time(rate),
        arm_period=round(1e6 / rate['rate_hz']),
        cycles=table(
            ('Part', 'mean', 'p50', 'p99', 'largest'),
            ((part, *map(round, row.values())) for part, row in rate['cycle_us'].items()),
        ),
        split=whole(core['split']),
        share=core['overhead_share_batch256'],
        exponents=whole(core['exponents']),
        growth='\n\n'.join(f'By {name}:\n\n{whole(rows)}' for name, rows in core['growth'].items()),
        bp=', and by ours' if 'bp_us' in core['updates'][0] else '',
        updates=whole(core['updates']),
        auto=f'Of {len(ratios)} cases it took the better one, within 5 %, in {best}; at worst it '
        f'was {ratios[-1]:.2f} times the better one.',
        traces=traces(cost['traces']),
        passes=table(
            ('Hidden', 'weights', 'instances', 'compiled', 'numpy'),
            (row.values() for row in cost['passes']),
        ),
    )
    (ROOT / 'docs' / 'performance.md').write_text(page)


if __name__ == '__main__':
    main()
