"""The whole loop on a device: how fast it learns, and how soon it has learned.

    python benchmarks/device_loop.py [--device cuda] [--quick] [--compile] [--json FILE]

CartPole: learning steps a second at several numbers of instances, and the time to a mean return of
475 of the newest episodes. UR5e with all limits and the guard: steps a second, and the time until
99 % and 100 % of 500 greedy episodes with other targets, by the ordinary simulation with the exact
guard, end within 2 cm. Times are of learning: what is built once (compiling, recording) is told
apart, and scoring does not count.

Beside CartPole, in the same run, stands the same work in plain torch (``plain_torch.py``), compiled
and recorded alike: what the machine allows. ``ratio_to_plain`` is ours by that.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.machine import in_words, machine
from benchmarks.plain_torch import PlainCartPole
from nrl_ros.base.settings import dotted
from nrl_ros.cli.config import RunSettings, find_config, resolve
from nrl_ros.cli.evaluate import SEED_OFFSET, evaluate
from nrl_ros.experiments.on_device import DeviceOptions, DeviceRun
from nrl_ros.learning.device.stepper import Stepper
from nrl_ros.storage.checkpoint import write_checkpoint

# Instances, and the step size: an update is the sum over all windows that closed, so that more
# instances need a smaller one. At 256, twice as much as 0.001 unlearned again.
CARTPOLE = {
    'cpu': ((256, 1e-3), (4096, 3e-4)),
    'cuda': ((4096, 3e-4), (16384, 1e-4)),
}
ARMS = {'cpu': 256, 'cuda': 4096}
SOLVED, EPISODES = 475.0, 500
# Shares that end within 2 cm, with the names of their times.
MARKS = {'ur5e_seconds_to_99': 0.99, 'ur5e_seconds_to_100': 1.0}


def settings_of(task: str, more: Mapping[str, Any]) -> RunSettings:
    """Return the settings of a task with some of them replaced."""
    overrides = tuple(f'{name}={value}' for name, value in dotted(dict(more)).items())
    wanted: dict[str, dict[str, Any]] = {'learner': {}, 'environment': {}, 'neuromodulator': {}}
    return resolve(find_config(task), overrides, wanted)


class Watch:
    """A run on a device, its steps and its time without what was built.

    Args:
        settings: of the run.
        options: of the device.
    """

    def __init__(self, settings: RunSettings, options: DeviceOptions) -> None:
        self.run = DeviceRun(settings, options, lambda text: print(f'  {text}', flush=True))
        self._steps = self.run.steps()
        self.learned_s = 0.0
        self._first_steps = 0
        next(self._steps)
        self._first_steps = self.run.total_steps

    def visit(self) -> Any:
        """Do some steps, and return the episodes that ended."""
        begin = time.perf_counter()
        ends = next(self._steps)
        self.learned_s += time.perf_counter() - begin
        return ends

    @property
    def speed(self) -> float:
        """Learning steps a second, resets left out."""
        return (self.run.total_steps - self._first_steps) / self.learned_s


def cartpole(options: DeviceOptions, instances: int, rate: float, seconds: float) -> dict[str, Any]:
    """Return the figures of CartPole at so many instances."""
    more = {
        'environment.bridge.instances': instances,
        'environment.stop.steps': 0,
        'learner.plasticity.learning_rate': rate,
    }
    watch = Watch(settings_of('cartpole', more), options)
    newest: deque[float] = deque(maxlen=max(100, min(instances, 1000)))
    solved: float | None = None
    while watch.learned_s < seconds and not (solved and watch.learned_s > seconds / 3):
        ends = watch.visit()
        newest.extend([] if ends is None else ends.episode_return.tolist())
        full = len(newest) == newest.maxlen
        if solved is None and full and sum(newest) / len(newest) >= SOLVED:
            solved = watch.learned_s
    beside = plain_cartpole(options, instances, rate, seconds / 4)
    return {
        'instances': instances,
        'learning_rate': rate,
        'steps_per_second': watch.speed,
        'ratio_to_plain': watch.speed / beside['steps_per_second'],
        'plain': beside,
        'seconds_to_475': solved,
        'built_seconds': watch.run.built_s,
        'counts': watch.run.counts,
    }


@torch.no_grad()
def plain_cartpole(
    options: DeviceOptions, instances: int, rate: float, seconds: float
) -> dict[str, Any]:
    """Return the figures of plain torch at so many instances, compiled or recorded as ours."""
    kind = torch.device(options.device).type
    compiled = kind == 'cuda' if options.compiled is None else options.compiled
    loop = PlainCartPole(instances, rate, options.device)
    stepper = Stepper(loop, update_every=1, compiled=compiled, say=lambda _: None)
    stepper.build()

    def visit() -> float:
        """Do some steps; the mean return waits until they are done."""
        stepper.run(max(64 // stepper.unit, 1))
        return float(loop.length.mean())

    visit()
    steps, solved, begin, passed = 0, None, time.perf_counter(), 0.0
    while passed < seconds:
        mean = visit()
        steps += instances * max(64 // stepper.unit, 1) * stepper.unit
        passed = time.perf_counter() - begin
        if solved is None and mean >= SOLVED:
            solved = passed
    return {'steps_per_second': steps / passed, 'seconds_to_475': solved}


def share_within(watch: Watch, folder: Path) -> float:
    """Return which share of greedy episodes ends within 2 cm, in the ordinary simulation."""
    path = folder / 'learner.nrl'
    write_checkpoint(path, 'learner', watch.run.learner.snapshot())
    settings = watch.run.settings
    seed = settings.environment.seed + SEED_OFFSET
    score = evaluate(settings, path, episodes=EPISODES, seed=seed, acting='greedy')
    return float(score.figures['is_within_2_cm'])


def ur5e(options: DeviceOptions, arms: int, seconds: float, every_s: float) -> dict[str, Any]:
    """Return the figures of the UR5e with its guard.

    Args:
        options: of the device.
        arms: how many learn at once.
        seconds: of learning, at most.
        every_s: between two scores.
    """
    more = {'environment.bridge.instances': arms, 'environment.stop.steps': 0}
    watch = Watch(settings_of('ur5e', more), options)
    found: dict[str, float | None] = dict.fromkeys(MARKS)
    course: list[tuple[float, int, float]] = []
    with TemporaryDirectory() as folder:
        due = every_s
        while watch.learned_s < seconds and None in found.values():
            watch.visit()
            if watch.learned_s < due:
                continue
            due = watch.learned_s + every_s
            share = share_within(watch, Path(folder))
            course.append((round(watch.learned_s, 2), watch.run.total_steps, share))
            print(f'  {watch.learned_s:.1f} s, {watch.run.total_steps:,} steps: {share:.1%}')
            for name, mark in MARKS.items():
                if found[name] is None and share >= mark:
                    found[name] = round(watch.learned_s, 2)
    return {
        'arms': arms,
        'steps_per_second': watch.speed,
        'built_seconds': watch.run.built_s,
        'course': course,
        'counts': watch.run.counts,
        **found,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--quick', action='store_true', help='few seconds of each')
    parser.add_argument('--compile', action='store_true', help='on the processor too')
    parser.add_argument(
        '--only',
        choices=('cartpole', 'ur5e'),
        help='one task alone; what FILE says of the other one stays there',
    )
    parser.add_argument('--json', type=Path)
    given = parser.parse_args(arguments)
    kind = 'cuda' if given.device.startswith('cuda') else 'cpu'
    options = DeviceOptions(given.device, compiled=True if given.compile else None)
    result: dict[str, Any] = {}
    if given.only and given.json and given.json.exists():
        result = json.loads(given.json.read_text(encoding='utf-8'))
    result |= {'machine': machine(), 'device': given.device}
    result['torch'] = torch.__version__
    if kind == 'cuda':
        result['gpu'] = torch.cuda.get_device_name(given.device)
    print(in_words(), result.get('gpu', ''), flush=True)
    seconds = 3.0 if given.quick else 20.0
    if given.only != 'ur5e':
        result['cartpole'] = []
    for instances, rate in CARTPOLE[kind] if given.only != 'ur5e' else ():
        one = cartpole(options, instances, rate, seconds)
        result['cartpole'].append(one)
        print(
            f'CartPole, {instances:,} instances: {one["steps_per_second"]:,.0f} learning steps/s, '
            f'{one["ratio_to_plain"]:.2f} of plain torch, '
            f'mean return {SOLVED:.0f} after {one["seconds_to_475"]} s',
            flush=True,
        )
    if given.only != 'cartpole':
        every = (0.25 if kind == 'cuda' else 4.0) if not given.quick else 2.0
        found = ur5e(options, ARMS[kind], 8.0 if given.quick else 60.0, every)
        result |= {'ur5e': found, **{name: found[name] for name in MARKS}}
        print(
            f'UR5e with guard, {found["arms"]:,} arms: {found["steps_per_second"]:,.0f} steps/s, '
            f'99 % within 2 cm after {found["ur5e_seconds_to_99"]} s, 100 % after '
            f'{found["ur5e_seconds_to_100"]} s',
            flush=True,
        )
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
