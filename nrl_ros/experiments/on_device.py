"""The learner, the neuromodulator and the environment of a run on one device, without ROS."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import AgentInfo, FinishedEpisodes
from nrl_ros.base.torch_arrays import TorchArrays
from nrl_ros.base.torch_device import find_device
from nrl_ros.environments.device import make_on_device
from nrl_ros.environments.people import Person
from nrl_ros.learning.device.exchange import to_device, to_learner
from nrl_ros.learning.device.learning import DeviceLearning
from nrl_ros.learning.device.stepper import Stepper
from nrl_ros.learning.device.supported import check_on_device
from nrl_ros.learning.learner import Learner
from nrl_ros.settings.run import RunSettings

# Steps between two visits of the host, at most; and how long they are to take [s]. While the host
# notes episodes the device waits, so that a GPU, whose step is a tenth of a millisecond, is given
# many.
_ROWS, _VISIT_S = 512, 0.1
# Episodes that are told of one visit, at most: a table of all would be the slowest part.
_MOST_TOLD = 1000


@dataclass(frozen=True)
class DeviceOptions:
    """How a run uses a device.

    Attributes:
        device: cpu, cuda, or cuda:1.
        update_every: steps between two updates of the weights.
        compiled: let torch compile the steps; None: on a GPU.
    """

    device: str = 'cpu'
    update_every: int = 1
    compiled: bool | None = None


class DeviceRun:
    """Environment, learner and neuromodulator of a run on one device.

    Args:
        settings: of all three nodes.
        options: of the device.
        say: is told what takes a while.

    Attributes:
        settings: of all three nodes.
        learning: the loop on the device.
        built_s: how long compiling and recording took [s].
        total_steps: of all instances, as of the newest visit.
        total_episodes: that have ended, likewise.

    Raises:
        NrlError: there is no such device, or a setting does not run on one.
    """

    def __init__(
        self, settings: RunSettings, options: DeviceOptions, say: Callable[[str], None]
    ) -> None:
        check_on_device(settings.learner, settings.neuromodulator.rpe)
        if settings.environment.human_reward.replace:
            raise ConfigError(
                'environment.human_reward.replace True does not run on a device, expected False: '
                'no person is heard there, who could reward; set it so, or leave --device away'
            )
        device = find_device(options.device)
        compiled = device.type == 'cuda' if options.compiled is None else options.compiled
        if compiled and device.type == 'cpu' and not _has_compiler():
            raise ConfigError(
                '--compile on the CPU: no C++ compiler found, expected g++ or clang++; install '
                'one, or leave --compile away'
            )
        if device.type == 'cpu' and not os.environ.get('OMP_NUM_THREADS'):
            # Threads of torch wait busily for one another: with anything else on the machine two of
            # them did 500 steps a second of 256 arms, and one 7,000.
            torch.set_num_threads(1)
        bridge, reward = settings.environment.bridge, settings.environment.reward
        self.settings, self._options, self._compiled = settings, options, compiled
        self._say = say
        arrays = TorchArrays(
            device,
            getattr(torch, settings.learner.network.precision),
            traced=compiled or device.type == 'cuda',
        )
        environment = make_on_device(bridge.name, bridge.instances, arrays, dict(bridge.options))
        self._environment = environment
        self._info = AgentInfo(
            settings.environment.agent, 1, environment.spec, True, reward.core(), reward.steps
        )
        self._learner = Learner(settings.learner)
        self._learner.join(self._info)
        policy = self._learner.roster.policy
        assert policy is not None
        self.learning = DeviceLearning(
            settings.learner,
            settings.neuromodulator.rpe,
            policy,
            environment,
            self._info,
            # Building takes two units of steps, which are an update or eight steps more.
            rows=max(_ROWS, 2 * (options.update_every + 8)),
            seed=_seed(settings),
            arrays=arrays,
        )
        self._stepper = Stepper(
            self.learning, update_every=options.update_every, compiled=compiled, say=say
        )
        self.built_s = 0.0
        self.total_steps = self.total_episodes = 0
        self._synchronous, self._resumed = True, False

    @property
    def learner(self) -> Learner:
        """The learner, as of the newest visit."""
        if not self._synchronous:
            to_learner(self.learning, self._learner, self._info.agent)
            self._synchronous = True
        return self._learner

    @property
    def critic(self) -> None:
        """There is none on a device."""

    @property
    def counts(self) -> dict[str, int]:
        """Sums over all steps so far, by name, those of the environment among them."""
        counts = {**self.learning.counts, **self._environment.counts}
        return {name: int(value) for name, value in counts.items()}

    def snapshot(self) -> dict[str, Any]:
        """Return all beside the learner that decides the future, open windows included."""
        # What the learner is told is not told again.
        assert self.learner is self._learner
        return {
            'steps': self.total_steps,
            'form': self._form,
            'learning': self.learning.snapshot(),
            'environment': self._environment.snapshot(),
        }

    @property
    def _form(self) -> str:
        """What a snapshot fits: generators and arms differ between these."""
        kind = self.learning.generator.device.type
        return f'{kind}, compiled' if self._compiled else kind

    def resume(self, saved: dict[str, Any] | None, steps: int) -> None:
        """Continue after so many steps of a run; to be called before ``steps``.

        Args:
            saved: a snapshot of the same form; None, or of another one: all instances begin new
                episodes.
            steps: of all instances so far.

        Raises:
            CheckpointError: the snapshot is of other settings.
        """
        if saved is not None and saved['form'] == self._form:
            self._environment.restore(saved['environment'])
            self.learning.restore(saved['learning'])
            self._resumed = True
        else:
            if saved is not None:
                self._say(
                    f'the run was saved on {saved["form"]} and goes on on {self._form}: its '
                    'episodes start anew, learning goes on'
                )
            self.learning.count_from(steps)
        self.total_steps = int(self.learning.counts['steps'])
        self.total_episodes = int(self.learning.counts['episodes'])

    # The host visits the device seldom enough.
    looks_every = 1

    def figures(self) -> dict[str, Any]:
        """Return what the summary says of the device: what was counted there, and built."""
        options = self._options
        return {
            'device': {
                'device': str(self.learning.generator.device),
                'update_every': options.update_every,
                'compiled': self._compiled,
                'built_seconds': round(self.built_s, 2),
                'counts': self.counts,
            }
        }

    def steps(self, *, person: Person | None = None) -> Iterator[FinishedEpisodes | None]:
        """Step all instances for ever, and yield the episodes that ended since the last visit.

        Of many episodes an even choice is told; ``total_episodes`` counts all.

        Args:
            person: None: nobody can see each state here.
        """
        assert person is None
        learning, unit = self.learning, self._stepper.unit
        to_device(self._learner, self._info.agent, learning)
        with torch.no_grad():
            if not self._resumed:
                learning.begin()
            started = time.perf_counter()
            done = self._stepper.build()
            self._synchronise()
            self.built_s = time.perf_counter() - started
            yield self._visited(done)
            units = 1
            while True:
                learning.rewind()
                left = self._left()
                now = min(units, max(-(-left // unit), 1)) if left else units
                started = time.perf_counter()
                self._stepper.run(now)
                self._synchronise()
                took = time.perf_counter() - started
                yield self._visited(now * unit)
                if took < _VISIT_S / 2 and now == units:
                    units = min(2 * units, max(_ROWS // unit, 1))

    def _left(self) -> int:
        """Return how many steps of all instances are left at least; 0: no limit."""
        target = self.settings.environment.stop.steps
        missing = max(target - self.total_steps, 1)
        return -(-missing // self._info.spec.instances) if target else 0

    def _synchronise(self) -> None:
        if self.learning.generator.device.type == 'cuda':
            torch.cuda.synchronize(self.learning.generator.device)

    def _visited(self, rows: int) -> FinishedEpisodes | None:
        """Read what the newest steps tell."""
        self._synchronous = False
        self.total_steps = int(self.learning.counts['steps'])
        self.total_episodes = int(self.learning.counts['episodes'])
        finished = self.learning.finished
        where = finished.ending[:rows].nonzero()
        if not len(where):
            return None
        if len(where) > _MOST_TOLD:
            chosen = torch.linspace(0, len(where) - 1, _MOST_TOLD, device=where.device)
            where = where[chosen.long()]
        row, instance = where.unbind(1)

        def told(values: torch.Tensor) -> np.ndarray:
            return values[row, instance].cpu().numpy()

        figures = told(finished.figures)
        names = self._info.spec.metrics
        return FinishedEpisodes(
            self._info.agent,
            self._info.session,
            finished.total_steps[row].cpu().numpy().astype(np.uint64),
            instance.cpu().numpy().astype(np.uint32),
            told(finished.number).astype(np.uint32),
            told(finished.length).astype(np.uint32),
            told(finished.ending),
            told(finished.episode_return),
            {name: figures[:, at].astype(np.float64) for at, name in enumerate(names)},
        )

    def close(self) -> None:
        """Do nothing: no resources are held."""


def _seed(settings: RunSettings) -> int:
    """Return the seed of everything random on the device, of both seeds of the run."""
    pair = np.random.SeedSequence([settings.learner.seed, settings.environment.seed])
    return int(pair.generate_state(1, np.uint64)[0] >> np.uint64(1))


def _has_compiler() -> bool:
    return any(shutil.which(name) for name in ('g++', 'clang++', 'c++'))
