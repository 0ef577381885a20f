"""Training under random faults, held against an undisturbed run in one process; for trust.py.

Learner, neuromodulator and environment train in lockstep over ROS 2, behind a wire that loses,
doubles, reorders and makes up messages; they are killed and stopped, and continue from their newest
pair of checkpoints. Whatever befell them, every checkpoint must be bit for bit what a run in one
process has learned after the same number of steps.
"""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.trust_wire import MESSAGE_FAULTS, STATUS, Wire, remappings
from nrl_ros.base.errors import CheckpointError
from nrl_ros.cli.config import parameter_file
from nrl_ros.cli.processes import MODULES, node_environment
from nrl_ros.cli.runs import Run, RunError, newest, saved_states
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.learning import loop
from nrl_ros.ros import names
from nrl_ros.settings.run import check
from nrl_ros.storage.checkpoint import read_checkpoint
from nrl_ros.storage.codec import encode
from tests.ros.harness import what_was_learned

Flat = dict[str, Any]

NODES = ('learner', 'neuromodulator', 'environment')
_LEARNER = {
    'seed': 3,
    'network.hidden_sizes': [24],
    'plasticity.learning_rate': 0.002,
    # No window may be given up, or the run would lawfully learn something else.
    'credit.rpe_timeout_s': 60.0,
}
# A reward each step, and one each episode.
TASKS: dict[str, tuple[Flat, Flat, Flat]] = {
    'reaching': (
        _LEARNER,
        {},
        {'bridge.name': 'reaching', 'bridge.instances': 8, 'reward.delivery': 'every_step'},
    ),
    'cartpole': (
        _LEARNER,
        {'rpe.scale': 'absolute_reward'},
        {'bridge.name': 'cartpole', 'bridge.instances': 8, 'reward.delivery': 'episode'},
    ),
}
_AGENT = 'a'
_ENVIRONMENT = {'agent': _AGENT, 'seed': 5, 'resend_period_s': 0.1}
_SAVING = {'checkpoint.keep': 1_000_000}
_CHECKPOINT_S = 0.25
# Share of each kind among the faults; the rest are MESSAGE_FAULTS.
_SHARES = {'kill': 0.04, 'stop': 0.03, 'cut': 0.13}
_PROGRESS_S = 60.0
_EXIT_S = 15.0


class Training:
    """One task under faults.

    Args:
        task: one of TASKS.
        folder: of its files.
        domain: ROS domain.
        seed: fixes the faults.
    """

    def __init__(self, task: str, folder: Path, domain: int, seed: int) -> None:
        learner, neuromodulator, environment = TASKS[task]
        self._settings = {
            'learner': learner,
            'neuromodulator': neuromodulator,
            'environment': _ENVIRONMENT | environment,
        }
        self._run = Run(folder)
        self._run.checkpoints.mkdir(parents=True)
        self._environment = node_environment(domain)
        self._choose = random.Random(seed)
        self._wire = Wire(domain, self._choose)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.done: Counter[str] = Counter()
        self.lost_checkpoints: list[str] = []

    def inject(self, faults: int) -> None:
        """Train, and let so many faults befall the run.

        Raises:
            SystemExit: the run does not go on after a fault.
        """
        kinds = [self._kind() for _ in range(faults)]
        self._start()
        for number, kind in enumerate(kinds):
            self._wire.spin(self._choose.expovariate(1.0 / 0.05))
            if kind in ('kill', 'stop'):
                self._interrupt(kind)
            elif kind == 'cut':
                self._wire.cut(self._choose.uniform(0.02, 0.3))
            else:
                self._wire.add(kind)
            self._must_go_on(f'fault {number}, {kind}')
        self._wire.spin(2.0)
        self._end(signal.SIGINT)
        self.done += self._wire.done
        self._wire.close()

    def _kind(self) -> str:
        point = self._choose.random()
        for kind, share in _SHARES.items():
            if point < share:
                return kind
            point -= share
        return self._choose.choice(MESSAGE_FAULTS)

    # ------------------------------------------------------------ processes

    def _start(self) -> None:
        """Start the nodes, from the newest pair of checkpoints where there is one."""
        load_from: dict[str, Flat] = {name: {} for name in NODES}
        try:
            saved = newest(self._run, _AGENT, exact=True)
        except RunError:
            pass
        else:
            load_from['learner'] = {'checkpoint.load': str(saved.learner)}
            load_from['neuromodulator'] = {'load': str(saved.learner)}
            load_from['environment'] = {'checkpoint.load': str(saved.environment)}
        folder = {'checkpoint.folder': str(self._run.checkpoints)}
        own: dict[str, Flat] = {
            'learner': folder | _SAVING | {'checkpoint.period_s': _CHECKPOINT_S},
            'neuromodulator': {},
            'environment': folder | _SAVING,
        }
        for name in NODES:
            if name == 'environment':
                # A restored environment gives its session up where nobody answers for 3 s, and the
                # wire, which hears it, hides from it that the learner is still starting.
                self._must_be_there()
            settings = self._settings[name] | own[name] | load_from[name]
            path = self._run.folder / f'{name}.yaml'
            path.write_text(parameter_file({name: settings}))
            arguments = ['--ros-args', '--params-file', str(path), *remappings(name)]
            with (self._run.folder / f'{name}.log').open('ab') as log:
                self._processes[name] = subprocess.Popen(
                    [sys.executable, '-m', MODULES[name], *arguments],
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        self._must_go_on('the start')

    def _must_be_there(self) -> None:
        """Wait until learner and neuromodulator have said that they live."""
        brought = self._wire.brought
        before = {topic: brought[topic] for topic in STATUS}
        if not self._wire.until(
            lambda: all(brought[topic] > count for topic, count in before.items()), _PROGRESS_S
        ):
            raise SystemExit(f'learner and neuromodulator do not start; {self._said()}')

    def _must_go_on(self, after: str) -> None:
        """Wait until the environment has taken a few more steps."""
        begun = self._wire.brought[names.ACTION]

        def goes_on() -> bool:
            return self._wire.brought[names.ACTION] > begun + 3

        if not self._wire.until(goes_on, _PROGRESS_S):
            raise SystemExit(f'after {after}: no step within {_PROGRESS_S} s; {self._said()}')

    def _said(self) -> str:
        lines = []
        for name, process in self._processes.items():
            text = (self._run.folder / f'{name}.log').read_text(errors='replace')
            last = text.splitlines()[-1:] or ['nothing']
            lines.append(f'{name} ({process.poll()}): {last[0]}')
        return '; '.join(lines)

    def _interrupt(self, kind: str) -> None:
        """Kill one node, then the others; or stop all; continue from the newest pair."""
        before = self._pairs()
        if kind == 'kill':
            self._processes[self._choose.choice(NODES)].kill()
            self._wire.spin(self._choose.uniform(0.0, 0.2))
        self._end(signal.SIGKILL if kind == 'kill' else signal.SIGINT)
        self.done[kind] += 1
        self._look_for_lost(before)
        self._wire.forget()
        self._start()

    def _end(self, number: int) -> None:
        for process in self._processes.values():
            process.send_signal(number)
        for name, process in self._processes.items():
            try:
                code = process.wait(_EXIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise SystemExit(f'{name} does not end; {self._said()}') from None
            if number == signal.SIGINT and code != 0:
                raise SystemExit(f'{name} ended with code {code}; {self._said()}')

    # ----------------------------------------------------------- checkpoints

    def _pairs(self) -> set[int]:
        """Numbers of the checkpoints that hold both learner and environment."""
        saved = saved_states(self._run, _AGENT)
        return {one.number for one in saved if one.environment is not None}

    def _look_for_lost(self, before: set[int]) -> None:
        """Note checkpoints that have vanished or cannot be read."""
        self.lost_checkpoints += [f'pair {number} has gone' for number in before - self._pairs()]
        for saved in saved_states(self._run, _AGENT)[-3:]:
            try:
                read_checkpoint(saved.learner, 'learner')
                if saved.environment is not None:
                    read_checkpoint(saved.environment, 'environment')
            except CheckpointError as error:
                self.lost_checkpoints.append(str(error))

    def compare(self) -> tuple[int, list[str]]:
        """Hold every checkpoint against the run in one process.

        Returns:
            How many were compared, and what is wrong of each that differs.
        """
        found: dict[int, list[tuple[str, str]]] = {}
        for saved in saved_states(self._run, _AGENT):
            if saved.environment is None:
                # The last one of an orderly end: its environment has left, open windows released.
                continue
            data = read_checkpoint(saved.learner, 'learner')
            found.setdefault(data['steps'], []).append((saved.learner.name, _digest(data)))
        expected = self._reference(set(found))
        wrong = [
            f'{name} after {steps} steps'
            for steps, rows in found.items()
            for name, digest in rows
            if digest != expected[steps]
        ]
        return sum(len(rows) for rows in found.values()), wrong

    def _reference(self, wanted: set[int]) -> dict[int, str]:
        """What the run in one process has learned after each of these numbers of steps."""
        run = InProcessRun(check(self._settings, source='trust'))
        learner = run.learner
        found: dict[int, str] = {}
        last = max(wanted, default=0)
        learner.join(run.episodes.info)
        state, reward = run.episodes.begin(run.settings.environment.seed), None
        while learner.steps <= last:
            loop.learn(learner, run.neuromodulator, state, reward)
            if learner.steps in wanted:
                found[learner.steps] = _digest(learner.snapshot())
            advance = run.episodes.advance(learner.act(state.agent).action)
            state, reward = advance.state, advance.reward
        return found


def _digest(snapshot: dict[str, Any]) -> str:
    """A hash of what decides the future, as ``what_was_learned`` picks it."""
    return hashlib.sha256(encode('learned', what_was_learned(snapshot))).hexdigest()
