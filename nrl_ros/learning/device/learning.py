"""The whole loop on a device: acts, steps the environment, compares rewards, changes the weights.

It is the cycle of ``learning/interfaces.py`` in tensors that stay the same ones, without a decision
on the host, so that a step can be compiled, or recorded as a CUDA graph and repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nrl_ros.base.records import AgentInfo, Delivery
from nrl_ros.base.torch_arrays import TorchArrays, put_tensors, tensors_data
from nrl_ros.environments.device import DeviceEnvironment, DeviceStep
from nrl_ros.learning.device.errors import Closed, RewardErrors, Tally, Windows
from nrl_ros.learning.device.policy import (
    Passes,
    eligibility_factor,
    head_on_device,
    layers_of,
    run_passes,
)
from nrl_ros.learning.interfaces import Array
from nrl_ros.learning.neuromodulator import RpeSettings
from nrl_ros.learning.optimisers import OPTIMISERS
from nrl_ros.learning.optimisers.adam import Adam
from nrl_ros.learning.policy import Policy
from nrl_ros.learning.rules import NodePerturbation
from nrl_ros.learning.settings import LearnerSettings

Tensor = torch.Tensor

# Sums of a run, kept on the device.
COUNTS = ('steps', 'episodes', 'updates', 'windows', 'rejected_updates', 'clipped_actions')


@dataclass
class Finished:
    """What the steps of one visit of the host tell of episodes; the row of each step is its place.

    Attributes:
        ending: 0: none ended, else as in ``Ending``, uint8 [S, B].
        episode_return: float64 [S, B].
        length: int32 [S, B].
        number: of the episode, int32 [S, B].
        figures: [S, B, M].
        total_steps: of all instances, at each step, int64 [S].
    """

    ending: Tensor
    episode_return: Tensor
    length: Tensor
    number: Tensor
    figures: Tensor
    total_steps: Tensor


class DeviceLearning:
    """B instances of an environment and the learner of its policy, on one device.

    Args:
        settings: of the learner.
        rpe: how rewards become errors.
        policy: to begin with.
        environment: on the device.
        info: of the environment.
        rows: S, steps between two visits of the host, at most.
        seed: of everything random but the first weights.
        arrays: of the device.

    Attributes:
        weights: all of them side by side [W].
        averaged: their running mean, where there is one.
        counts: sums so far, by name.
        tally: sums over the reward-prediction errors that were learned from.
        told: the counts that a learner was told last.
        finished: what the newest steps tell of episodes.
        windows: where each instance is in its episode.
        errors: the averages that rewards are compared with.
        optimiser: its state is one tensor for all weights.
    """

    def __init__(
        self,
        settings: LearnerSettings,
        rpe: RpeSettings,
        policy: Policy,
        environment: DeviceEnvironment,
        info: AgentInfo,
        *,
        rows: int,
        seed: int,
        arrays: TorchArrays,
    ) -> None:
        rule = settings.make_rule()
        assert isinstance(rule, NodePerturbation)
        self._settings, self._rule, self._environment = settings, rule, environment
        self._spec, self._delivery = policy.network.spec, info.delivery
        self._source = int(settings.policy.action_from == 'noisy')
        self._head = head_on_device(policy.head, arrays)
        self._arrays, device = arrays, arrays.device
        self.generator = torch.Generator(device).manual_seed(seed)
        self._make_weights(policy.network.weights)
        instances, spec = info.spec.instances, self._spec
        noise = (rule.samples, instances, spec.noise_components)
        self.noise = self._zeros(*noise)
        self.drawn = self._zeros(instances, self._head.draws)
        self.observation = self._zeros(instances, spec.inputs)
        self.windows = Windows(info.delivery, info.delivery_steps, instances, device)
        self.errors = RewardErrors(rpe, instances, device)
        self._traces: list[Tensor] = []
        if info.delivery != Delivery.EVERY_STEP:
            self._traces = [self._zeros(instances, *shape) for shape in spec.shapes]
        self.counts = {name: torch.zeros((), dtype=torch.int64, device=device) for name in COUNTS}
        self.tally = Tally(device)
        self.told: dict[str, int] = {}
        self._make_rows(rows, instances, len(info.spec.metrics))

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=self.weights.dtype, device=self._arrays.device)

    def _make_weights(self, given: Sequence[Array]) -> None:
        flat = torch.cat([torch.from_numpy(weight).flatten() for weight in given])
        self.weights = flat.to(self._arrays.device)
        self._layers = layers_of(self.weights, self._spec)
        self._total = torch.zeros_like(self.weights)
        self._pending = torch.zeros((), dtype=torch.int64, device=self._arrays.device)
        scales = self._rule.scales(self._spec)
        parts = zip(scales, self._spec.weight_slices, strict=True)
        self._scale = torch.ones_like(self.weights)
        for scale, where in parts:
            self._scale[where] = scale
        self._ends = self._rule.norm_ends(self._spec)
        plasticity = self._settings.plasticity
        self.averaged = self.weights.clone() if plasticity.averaging else None
        options = plasticity.optimiser_options
        self.optimiser: Any = OPTIMISERS.make(plasticity.optimiser, options=options)
        if isinstance(self.optimiser, Adam):
            state = self.optimiser.state
            state.first = [torch.zeros_like(self.weights)]  # type: ignore[list-item]
            state.second = [torch.zeros_like(self.weights)]  # type: ignore[list-item]
            state.count = torch.zeros((), dtype=torch.float64, device=self._arrays.device)  # type: ignore[assignment]

    def _make_rows(self, rows: int, instances: int, figures: int) -> None:
        device = self._arrays.device
        self._row = torch.zeros(1, dtype=torch.int64, device=device)
        shape = (rows, instances)
        self.finished = Finished(
            torch.zeros(shape, dtype=torch.uint8, device=device),
            torch.zeros(shape, dtype=torch.float64, device=device),
            torch.zeros(shape, dtype=torch.int32, device=device),
            torch.zeros(shape, dtype=torch.int32, device=device),
            torch.zeros((*shape, figures), device=device),
            torch.zeros(rows, dtype=torch.int64, device=device),
        )

    # ------------------------------------------------------------------- state

    def _tensors(self) -> dict[str, Tensor]:
        """Return what decides the future beside what a learner has; ``exchange`` has the rest."""
        parts = {'windows': self.windows, 'errors': self.errors, 'tally': self.tally}
        found = {'observation': self.observation, 'total': self._total, 'pending': self._pending}
        found |= {f'trace_{layer}': trace for layer, trace in enumerate(self._traces)}
        found |= {f'counts.{name}': count for name, count in self.counts.items()}
        for name, part in parts.items():
            found |= {f'{name}.{key}': value for key, value in part.tensors().items()}
        return found

    def snapshot(self) -> dict[str, Any]:
        """Return all beside the learner that decides the future, open windows included."""
        generator = self.generator.get_state()
        return tensors_data({**self._tensors(), 'generator': generator})

    def restore(self, saved: dict[str, Any]) -> None:
        """Continue from a snapshot, in place of ``begin``.

        Raises:
            CheckpointError: it does not fit; nothing was changed.
        """
        generator = self.generator.get_state()
        put_tensors({**self._tensors(), 'generator': generator}, saved, 'learning')
        self.generator.set_state(generator)
        self.told = {name: int(count) for name, count in self.counts.items()}

    def count_from(self, steps: int) -> None:
        """Count on from the steps of a run whose episodes begin anew."""
        self.counts['steps'].fill_(steps)
        self.told['steps'] = steps

    # ------------------------------------------------------------------- steps

    def begin(self) -> None:
        """Begin an episode in every instance."""
        self.observation.copy_(self._environment.begin(self.generator))

    def rewind(self) -> None:
        """Let the next step be the first one since the host was here."""
        self._row.zero_()

    def draw(self) -> None:
        """Draw all that the next step takes; no part of what is compiled."""
        self.noise.normal_(generator=self.generator)
        if self._head.normal:
            self.drawn.normal_(generator=self.generator)
        else:
            self.drawn.uniform_(generator=self.generator)
        self._environment.draw(self.generator)

    def step(self) -> None:
        """Do one step of all instances, and sum up what it would change."""
        sigma = self._settings.noise.sigma * self._decay(self._settings.noise.sigma_decay)
        noise = self.noise * sigma
        live = ~self.windows.over
        passes = run_passes(self._layers, self._spec, self.observation, noise)
        choice = self._head.choose(passes.outputs[self._source], self.drawn)
        logs = self._head.log_probability(passes.outputs, choice)
        impact = (logs[1:] - logs[0]) * live / self._rule.samples
        post = noise * eligibility_factor(noise, impact.to(noise.dtype), self._ends)
        outcome = self._environment.step(self._head.to_action(choice), self.windows.over)
        self._count(live, self._head.clipped(choice))
        ended = outcome.terminated | outcome.truncated
        closed = self.errors.compare(*self.windows.move(outcome.reward, ended))
        self._credit(post, passes, closed)
        self._note(outcome, closed)
        self.observation.copy_(outcome.observation)

    def _decay(self, half: float) -> Tensor | float:
        """Return the factor of something that has halved after so many updates; 0: 1."""
        return half / (half + self.counts['updates'].double()) if half > 0.0 else 1.0

    def _credit(self, post: Tensor, passes: Passes, closed: Closed) -> None:
        """Add what the closed windows have earned; the rows of this step belong to them."""
        limit = self._settings.plasticity.rpe_clip
        rpe = closed.rpe.clamp(-limit, limit) if limit else closed.rpe
        delta = rpe.to(post.dtype)
        slices, totals = self._spec.noise_slices, layers_of(self._total, self._spec)
        if self._delivery == Delivery.EVERY_STEP:
            earned = post * delta[:, None]
            totals[0].add_(earned[..., slices[0]].sum(0).T @ passes.first)
            for total, where, pre in zip(totals[1:], slices[1:], passes.others, strict=True):
                total.add_(earned[..., where].flatten(0, 1).T @ pre.flatten(0, 1))
            return
        decay = self._settings.plasticity.trace_decay
        firsts = [post[..., slices[0]].sum(0)[:, :, None] * passes.first[:, None, :]]
        for where, pre in zip(slices[1:], passes.others, strict=True):
            firsts.append((post[..., where][..., None] * pre[:, :, None, :]).sum(0))
        keep = (~closed.mask).to(post.dtype)[:, None, None]
        for trace, added, total in zip(self._traces, firsts, totals, strict=True):
            summed = trace * decay + added if decay != 1.0 else trace + added
            total.add_((delta @ summed.flatten(1)).view_as(total))
            trace.copy_(summed * keep)

    def _count(self, live: Tensor, clipped: Tensor) -> None:
        self.counts['steps'].add_(live.sum())
        self.counts['clipped_actions'].add_((clipped.any(-1) & live).sum())

    def _note(self, outcome: DeviceStep, closed: Closed) -> None:
        """Note what the host is to be told of the step."""
        windows, finished = self.windows, self.finished
        ended = outcome.terminated | outcome.truncated
        self.counts['episodes'].add_(ended.sum())
        count = closed.mask.sum()
        self.counts['windows'].add_(count)
        self._pending.add_(count)
        self.tally.add(closed)
        # As in Ending: 1 terminated, 2 truncated.
        ending = (ended.to(torch.uint8) * 2 - outcome.terminated.to(torch.uint8))[None]
        finished.ending.index_copy_(0, self._row, ending)
        finished.episode_return.index_copy_(0, self._row, windows.episode_return[None])
        finished.length.index_copy_(0, self._row, windows.length[None])
        finished.number.index_copy_(0, self._row, windows.number[None])
        finished.total_steps.index_copy_(0, self._row, self.counts['steps'][None])
        if outcome.figures is not None:
            figures = outcome.figures[None].to(finished.figures.dtype)
            finished.figures.index_copy_(0, self._row, figures)
        self._row.add_(1)

    # ----------------------------------------------------------------- updates

    def update(self) -> None:
        """Change the weights by what was summed up, unless no window closed or it is not finite."""
        total, weights = self._total, self.weights
        finite = torch.isfinite(total).all()
        learns = finite & (self._pending > 0)
        before = [weights.clone(), *(moment.clone() for moment in self._moments())]
        plasticity = self._settings.plasticity
        gradient = torch.where(finite, total, 0.0) * self._scale
        rate = plasticity.learning_rate * self._decay(plasticity.learning_rate_decay)
        self.optimiser.step([weights], [gradient], rate)
        for now, kept in zip([weights, *self._moments()], before, strict=True):
            now.copy_(torch.where(learns, now, kept))
        if self.averaged is not None:
            most = (self.counts['updates'] + 1).clamp(max=plasticity.averaging)
            self.averaged.add_((weights - self.averaged) * (learns / most.double()))
        self.counts['updates'].add_(learns)
        self.counts['rejected_updates'].add_(~finite)
        self._total.zero_()
        self._pending.zero_()

    def _moments(self) -> list[Tensor]:
        """Return the tensors that the optimiser remembers."""
        state: Any = self.optimiser.state
        if not isinstance(self.optimiser, Adam):
            return []
        return [*state.first, *state.second, state.count]
