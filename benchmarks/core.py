#!/usr/bin/env python3
"""The core in one process: against the published loop in torch, where its time goes, how it grows.

    .venv/bin/python benchmarks/core.py [--quick] --json FILE

1. Environment steps per second of CartPole, 64 hidden units, the return delivered at the episode's
   end, learning on, beside the published loop in plain torch (torch_loop.py) on one thread.
2. Where the time of a step goes, by number of instances.
3. Memory and time of traces against width, depth, window and instances.
4. An update by NRL beside one by backpropagation, for the same network and batch.

Whatever is compared takes turns within this run, so that the machine's moods hit all alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
import torch
from rich.console import Console

from benchmarks import machine
from benchmarks.growth import exponents, growth
from benchmarks.torch_loop import TorchNrl
from benchmarks.torch_loop import loop as torch_loop
from benchmarks.traces import show
from benchmarks.updates import costs
from nrl_ros.base.records import Delivery
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.registry import make_bridge
from nrl_ros.learning import cycle, loop
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.networks.settings import NetworkSettings
from nrl_ros.learning.neuromodulator import Neuromodulator, RpeSettings
from nrl_ros.learning.rules.settings import PlasticitySettings
from nrl_ros.learning.settings import LearnerSettings

HIDDEN = 64
SPLIT_INSTANCES = (1, 16, 64, 256)
SEED = 0


class Ours:
    """The whole cycle in one process on CartPole."""

    def __init__(self, instances: int) -> None:
        # One instance is the very environment that the published loop has.
        options = {'id': 'CartPole-v1', 'vectorize': instances > 1}
        self.bridge: Any = make_bridge('gymnasium', instances, options)
        self.episodes = Episodes(
            self.bridge, agent='cartpole', session=1, lockstep=True, delivery=Delivery.EPISODE
        )
        self.learner = Learner(
            LearnerSettings(
                seed=SEED,
                network=NetworkSettings(hidden_sizes=(HIDDEN,)),
                plasticity=PlasticitySettings(learning_rate=5e-4),
            )
        )
        self.neuromodulator = Neuromodulator(RpeSettings(scale='absolute_reward'))
        self.cycle: Iterator[int] = loop.run(
            self.episodes, self.learner, self.neuromodulator, seed=SEED
        )
        next(self.cycle)

    def seconds(self, ticks: int) -> float:
        """Processor time of so many steps of all instances."""
        start = time.process_time()
        for _ in range(ticks):
            next(self.cycle)
        return time.process_time() - start


# ---------------------------------------------------------- 1. published loop


def published(seconds: float, turns: int) -> dict[str, Any]:
    """Environment steps per second of all, taking turns; ratios are those within a turn."""
    ours = {count: Ours(count) for count in (1, 256)}
    cycles: dict[str, tuple[Iterator[Any], int]] = {
        name: (torch_loop(TorchNrl((4, HIDDEN, 2), autograd=name == 'torch'), SEED), 1)
        for name in ('torch', 'torch_no_grad')
    }
    cycles |= {f'batch{count}': (mine.cycle, count) for count, mine in ours.items()}
    rates: dict[str, list[float]] = {name: [] for name in cycles}
    for turn in range(turns + 1):
        for name, (steps, count) in cycles.items():
            rate = rate_of(steps, count, seconds)
            if turn:  # The first warms up.
                rates[name].append(rate)
    result: dict[str, Any] = {
        f'{name}_steps_per_second': round(statistics.median(values))
        for name, values in rates.items()
    }
    for name in (f'batch{count}' for count in ours):
        for suffix in ('', '_no_grad'):
            pairs = zip(rates[name], rates[f'torch{suffix}'], strict=True)
            ratio = statistics.median(mine / theirs for mine, theirs in pairs)
            result[f'ratio{suffix}_{name}'] = round(ratio, 2)
    return result


def rate_of(cycle: Iterator[Any], count: int, seconds: float) -> float:
    """Steps a second of processor time, each turn of the iterator being ``count`` steps.

    All of it runs in one thread and waits for nothing: on a quiet machine that is the wall's time,
    on a shared one it leaves out what others had of the processor.
    """
    start = now = time.process_time()
    turns = 0
    while now - start < seconds:
        for _ in range(20):
            next(cycle)
        turns += 20
        now = time.process_time()
    return count * turns / (now - start)


# ----------------------------------------------------------- 2. where it goes


class Clock:
    """Adds up the time spent within methods; ``cost`` is what one look at it takes [s]."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        idle = self.timed('idle', lambda: None)
        start = time.process_time()
        for _ in range(2000):
            idle()
        self.cost = (time.process_time() - start) / 2000
        # A part of the look falls within what is measured.
        self.inside = self.spent['idle'] / 2000
        self.clear()

    def clear(self) -> None:
        """Start anew."""
        self.spent.clear()
        self.calls.clear()

    def watch(self, owner: Any, method: str, name: str) -> None:
        """Time a method of one object from now on."""
        setattr(owner, method, self.timed(name, getattr(owner, method)))

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, timed under a name."""

        def timed(*args: Any, **named: Any) -> Any:
            start = time.process_time()
            try:
                return call(*args, **named)
            finally:
                spent = time.process_time() - start
                self.spent[name] = self.spent.get(name, 0.0) + spent
                self.calls[name] = self.calls.get(name, 0) + 1

        return timed

    def seconds(self, name: str) -> float:
        """Time in methods watched under a name, without the looking."""
        return max(self.spent.get(name, 0.0) - self.calls.get(name, 0) * self.inside, 0.0)

    def overhead(self) -> float:
        """Time that all the looking took."""
        return sum(self.calls.values()) * self.cost


def watch_environment(clock: Clock, ours: Ours) -> None:
    """Time the environment's own step: what Gymnasium does when the bridge calls it."""
    bridge = ours.bridge
    for own in [bridge._many] if bridge._many is not None else bridge._one:
        clock.watch(own, 'step', 'environment')
        clock.watch(own, 'reset', 'environment')


class Watched:
    """Stands before an object, and times some of its methods."""

    def __init__(self, clock: Clock, own: Any, parts: dict[str, str]) -> None:
        self._own = own
        for method, part in parts.items():
            setattr(self, method, clock.timed(part, getattr(own, method)))

    def __getattr__(self, name: str) -> Any:
        """Return whatever else the object has."""
        return getattr(self._own, name)


def watch_parts(clock: Clock, ours: Ours) -> None:
    """Time the parts of acting and learning; none of them contains another."""

    class WatchedCycle(cycle.Cycle):
        def _set(self) -> None:
            super()._set()
            self._update: Any = Watched(clock, self._update, {'learn': 'update'})

        def _act(self, agent: Any) -> Any:
            if not isinstance(self._store, Watched):
                self._store: Any = Watched(clock, self._store, {'fold': 'trace'})
                agent.noise = Watched(clock, agent.noise, {'next_into': 'noise'})
                explorer: Any = self._explorer
                explorer._passes = Watched(clock, explorer._passes, {'run': 'forward'})
                explorer._head = Watched(clock, explorer._head, {'sample': 'forward'})
                explorer._rows = Watched(clock, explorer._rows, {'compare_over': 'trace'})
            return super()._act(agent)

    setattr(loop, 'Cycle', WatchedCycle)  # noqa: B010 - the module does not export it
    # The short way is taken once all of it has been seen.
    ours.seconds(500)
    setattr(loop, 'Cycle', cycle.Cycle)  # noqa: B010
    assert clock.spent, 'the short way was not taken'


def split(instances: int, ticks: int, turns: int) -> dict[str, Any]:
    """Microseconds a tick and its parts, and the share that is not the environment's own."""
    clocks = [Clock(), Clock()]
    whole, parts = Ours(instances), Ours(instances)
    watch_environment(clocks[0], whole)
    watch_environment(clocks[1], parts)
    watch_parts(clocks[1], parts)
    names = ('environment', 'noise', 'forward', 'trace', 'update')
    seen: dict[str, list[float]] = {name: [] for name in ('tick', *names)}
    for turn in range(turns + 1):
        ticked = []
        for clock, ours in zip(clocks, (whole, parts), strict=True):
            clock.clear()
            ticked.append(ours.seconds(ticks) - clock.overhead())
        if turn:
            seen['tick'].append(ticked[0])
            seen['environment'].append(clocks[0].seconds('environment'))
            for name in names[1:]:
                seen[name].append(clocks[1].seconds(name))
    middle = {name: 1e6 * statistics.median(times) / ticks for name, times in seen.items()}
    rest = middle['tick'] - sum(middle[name] for name in names)
    # Of each turn, since a slow moment slows both alike.
    shares = [1.0 - own / tick for own, tick in zip(seen['environment'], seen['tick'], strict=True)]
    return {
        'instances': instances,
        **{f'{name}_us': round(value, 1) for name, value in middle.items()},
        'rest_us': round(rest, 1),
        'overhead_share': round(statistics.median(shares), 3),
    }


# ---------------------------------------------------------------------- main


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='fewer repetitions and sizes')
    parser.add_argument('--json', type=Path, help='file for the figures')
    options = parser.parse_args()
    quick, console = options.quick, Console(width=120)
    torch.set_num_threads(1)
    result = published(0.1 if quick else 0.2, 25 if quick else 75)
    show(console, [{'figure': name, 'value': value} for name, value in result.items()])
    turns = 7 if quick else 15
    result['split'] = [split(count, 1000, turns) for count in SPLIT_INSTANCES]
    result['overhead_share_batch256'] = result['split'][-1]['overhead_share']
    show(console, result['split'])
    result['growth'] = growth(quick)
    result['exponents'] = exponents(result['growth'])
    for rows in (*result['growth'].values(), result['exponents']):
        show(console, rows)
    result['updates'] = costs(quick)
    show(console, result['updates'])
    result['machine'] = machine.machine('numpy', 'torch')
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()
