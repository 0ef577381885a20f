"""The whole loop on a device: acts, steps the environment, compares rewards, changes the weights.

It is the cycle of ``learning/interfaces.py`` in tensors that stay the same ones, without a decision
on the host, so that a step can be compiled, or recorded as a CUDA graph and repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nrl_ros.base.records import AgentInfo, Delivery
from nrl_ros.base.torch_arrays import TorchArrays, put_tensors, tensors_data
from nrl_ros.environments.device import DeviceEnvironment, DeviceStep
from nrl_ros.learning.device.errors import Closed, RewardErrors, Tally, Windows
from nrl_ros.learning.device.heads import head_on_device
from nrl_ros.learning.device.network import DeviceNetwork, layers_of
from nrl_ros.learning.interfaces import Array
from nrl_ros.learning.neuromodulator import RpeSettings
from nrl_ros.learning.optimisers import OPTIMISERS
from nrl_ros.learning.optimisers.adam import Adam
from nrl_ros.learning.policy import Policy
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
        moments: that state by name, its count among it; empty if it remembers nothing.
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
        # The noise is scaled before the rule takes it, by what may change on the device.
        rule = settings.make_rule().with_sigma(1.0)
        self._settings, self._rule, self._environment = settings, rule, environment
        self._spec, self._delivery = policy.network.spec, info.delivery
        self._head = head_on_device(policy.head, arrays)
        self._arrays, device = arrays, arrays.device
        # The host may decide what is rare, where steps are neither compiled nor recorded.
        self._decides = not arrays.traced
        self.generator = torch.Generator(device).manual_seed(seed)
        self._make_weights(policy.network.weights)
        instances, spec = info.spec.instances, self._spec
        self.noise = self._zeros(*rule.noise_size(spec, instances))
        network, source = DeviceNetwork(spec, self.weights, arrays), settings.policy.action_from
        # A rule takes tensors as it takes arrays of numpy, and a head with numbers drawn before.
        head: Any = self._head
        self._explorer: Any = rule.explorer(
            network, head, batch=instances, source=int(source == 'noisy')
        )
        self.drawn = self._zeros(instances, self._head.draws)
        self.observation = self._zeros(instances, spec.inputs)
        self.windows = Windows(info.delivery, info.delivery_steps, instances, device)
        self.errors = RewardErrors(rpe, instances, device)
        # Windows that closed with the step before, with which their traces have ended.
        self._closed = torch.zeros(instances, dtype=torch.bool, device=device)
        self._traces: list[Tensor] = []
        if info.delivery != Delivery.EVERY_STEP:
            outer = rule.trace_form == 'outer'
            shapes: Sequence[Any] = spec.shapes if outer else [(spec.weight_count,)]
            self._traces = [self._zeros(instances, *shape) for shape in shapes]
        self.counts = {name: torch.zeros((), dtype=torch.int64, device=device) for name in COUNTS}
        self.tally = Tally(device)
        self.told: dict[str, int] = {}
        self._make_rows(rows, instances, len(info.spec.metrics))

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=self.weights.dtype, device=self._arrays.device)

    def _make_weights(self, given: Sequence[Array]) -> None:
        flat = torch.cat([torch.from_numpy(weight).flatten() for weight in given])
        self.weights = flat.to(self._arrays.device)
        self._total = torch.zeros_like(self.weights)
        self._kept_totals = self._parts_of_total()
        self._pending = torch.zeros((), dtype=torch.int64, device=self._arrays.device)
        scales = self._rule.scales(self._spec)
        parts = zip(scales, self._spec.weight_slices, strict=True)
        self._scale = torch.ones_like(self.weights)
        for scale, where in parts:
            self._scale[where] = scale
        plasticity = self._settings.plasticity
        self.averaged = self.weights.clone() if plasticity.averaging else None
        options = plasticity.optimiser_options
        self.optimiser: Any = OPTIMISERS.make(plasticity.optimiser, options=options)
        self.moments: dict[str, Tensor] = {}
        if isinstance(self.optimiser, Adam):
            begun = self.optimiser.begin_on(self._arrays, [self.weights])
            self.moments = {name: tensors[0] for name, tensors in begun.items()}
            count: Any = self.optimiser.state.count
            self.moments['count'] = count

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

    def _parts_of_total(self) -> list[Tensor]:
        """Return what is summed up of each layer, views; or of all weights, by the rule's form."""
        outer = self._rule.trace_form == 'outer'
        return layers_of(self._total, self._spec) if outer else [self._total]

    @property
    def _totals(self) -> list[Tensor]:
        """The parts of the total, made anew where steps are compiled (see DeviceNetwork.read)."""
        return self._kept_totals if self._decides else self._parts_of_total()

    # ------------------------------------------------------------------- state

    def _tensors(self) -> dict[str, Tensor]:
        """Return what decides the future beside what a learner has; ``exchange`` has the rest."""
        found = {'observation': self.observation, 'total': self._total, 'pending': self._pending}
        found['closed'] = self._closed
        found |= {f'trace_{layer}': trace for layer, trace in enumerate(self._traces)}
        found |= {f'counts.{name}': count for name, count in self.counts.items()}
        found |= {f'windows.{name}': part for name, part in self.windows.tensors().items()}
        found |= {f'errors.{name}': part for name, part in self.errors.tensors().items()}
        return found | {f'tally.{name}': part for name, part in self.tally.tensors().items()}

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
        choice, rows = self._explorer.explore(self.observation, noise, self.drawn)
        post, pre = rows()
        outcome = self._environment.step(self._head.to_action(choice), self.windows.over)
        self._count(live, self._head.clipped(choice))
        ended = outcome.terminated | outcome.truncated
        closed = self.errors.compare(*self.windows.move(outcome.reward, ended))
        self._credit(post, pre, closed, live)
        self._note(outcome, closed)
        self.observation.copy_(outcome.observation)

    def _decay(self, half: float) -> Tensor | float:
        """Return the factor of something that has halved after so many updates; 0: 1."""
        return half / (half + self.counts['updates'].double()) if half > 0.0 else 1.0

    def _credit(self, post: Tensor, pre: Tensor, closed: Closed, live: Tensor) -> None:
        """Add what the closed windows have earned; the rows of this step belong to them.

        Args:
            post: [K, B, N].
            pre: [K, B, M].
            closed: windows that close with the step.
            live: instances whose episode does not begin with the step, bool [B].
        """
        limit = self._settings.plasticity.rpe_clip
        rpe = closed.rpe.clamp(-limit, limit) if limit else closed.rpe
        delta = rpe.to(post.dtype)
        if self._delivery == Delivery.EVERY_STEP:
            earned = post * delta[:, None]
            for total, (out, given) in zip(self._totals, self._rows_of(earned, pre), strict=True):
                if given is None:
                    total.add_(out.sum((0, 1)))
                else:
                    total.add_(out.flatten(0, 1).T @ given.flatten(0, 1))
            return
        self._credit_traces(post * live[:, None], pre, delta, closed.mask)

    def _credit_traces(self, post: Tensor, pre: Tensor, delta: Tensor, closed: Tensor) -> None:
        """Note the rows of a step in the traces, and add what those of closed windows earn."""
        decay = self._settings.plasticity.trace_decay
        if self._decides:
            # Few windows close in a step, so that few traces are read and forgotten.
            some = closed.nonzero()[:, 0]
            earned = delta[some]
        else:
            keep = (~self._closed).to(post.dtype) * decay
        parts = zip(self._traces, self._totals, self._rows_of(post, pre), strict=True)
        for trace, total, (out, given) in parts:
            if not self._decides:
                # Windows that closed with the step before are forgotten with this one.
                grown = trace * keep.view(-1, *[1] * (trace.dim() - 1)) + _products(out, given)
                total.add_((delta @ grown.flatten(1)).view_as(total))
                trace.copy_(grown)
                continue
            if decay != 1.0:
                trace.mul_(decay)
            if given is not None and len(out) == 1:
                trace.addcmul_(out[0, :, :, None], given[0, :, None, :])
            else:
                trace.add_(_products(out, given))
            if len(some):
                total.add_((earned @ trace[some].flatten(1)).view_as(total))
                trace[some] = 0.0
        self._closed.copy_(closed)

    def _rows_of(self, post: Tensor, pre: Tensor) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield the rows of each layer; of a rule whose rows are whole weights, those alone."""
        if self._rule.trace_form != 'outer':
            yield post, None
            return
        for out, given in zip(self._spec.noise_slices, self._spec.input_slices, strict=True):
            yield post[..., out], pre[..., given]

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
        if not self._decides or bool(count):
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
        if self._decides and not bool(self._pending):
            return
        total, weights = self._total, self.weights
        finite = torch.isfinite(total).all()
        learns = finite & (self._pending > 0)
        changed = [weights, *self.moments.values()]
        before = [tensor.clone() for tensor in changed]
        plasticity = self._settings.plasticity
        gradient = torch.where(finite, total, 0.0) * self._scale
        rate = plasticity.learning_rate * self._decay(plasticity.learning_rate_decay)
        self.optimiser.step([weights], [gradient], rate)
        for now, kept in zip(changed, before, strict=True):
            now.copy_(torch.where(learns, now, kept))
        if self.averaged is not None:
            most = (self.counts['updates'] + 1).clamp(max=plasticity.averaging)
            self.averaged.add_((weights - self.averaged) * (learns / most.double()))
        self.counts['updates'].add_(learns)
        self.counts['rejected_updates'].add_(~finite)
        self._total.zero_()
        self._pending.zero_()


def _products(out: Tensor, given: Tensor | None) -> Tensor:
    """Return what K rows add to a trace: outer products, or rows of whole weights themselves.

    Args:
        out: [K, B, n], or [K, B, W].
        given: [K, B, m]; None: the rows are whole weights.

    Returns:
        [B, n, m], or [B, W].
    """
    if given is None:
        return out.sum(0)
    if len(out) == 1:
        return out[0, :, :, None] * given[0, :, None, :]
    return torch.einsum('kbo,kbi->boi', out, given)
