"""Reward-prediction errors and episodes of B instances on a device."""

from __future__ import annotations

from typing import NamedTuple

import torch

from nrl_ros.base.records import Delivery
from nrl_ros.learning.neuromodulator import RpeSettings
from nrl_ros.learning.rpe_tally import SILENT_SHARE

Tensor = torch.Tensor


class Closed(NamedTuple):
    """The credit windows that a step closed.

    Attributes:
        mask: which instances have one, bool [B].
        rpe: its reward-prediction error; 0 for the others, float64 [B].
    """

    mask: Tensor
    rpe: Tensor


class RewardErrors:
    """Running-average rewards, as ``baselines/running_average.py`` has them.

    Args:
        settings: how rewards become errors.
        instances: B.
        device: of the tensors.

    Attributes:
        baseline: float64 [B].
        known: instances that have one, bool [B].
    """

    def __init__(self, settings: RpeSettings, instances: int, device: torch.device) -> None:
        self._settings = settings
        self.baseline = torch.zeros(instances, dtype=torch.float64, device=device)
        self.known = torch.zeros(instances, dtype=torch.bool, device=device)

    def tensors(self) -> dict[str, Tensor]:
        """Return what is remembered, by name."""
        return {'baseline': self.baseline, 'known': self.known}

    def compare(self, mask: Tensor, value: Tensor) -> Closed:
        """Compare the rewards of some instances, and move their averages.

        Args:
            mask: which instances are rewarded, bool [B].
            value: their rewards, float64 [B].
        """
        settings = self._settings
        before = torch.where(self.known, self.baseline, value)
        after = before + settings.rate * (value - before)
        expected = after if settings.order == 'after' else before
        rpe = value - expected if settings.baseline == 'running_average' else value
        if settings.scale == 'absolute_reward':
            quotient = rpe / value.abs()
            # A reward of 0 or 1e-310 does not divide.
            rpe = torch.where(torch.isfinite(quotient), quotient, rpe)
        self.baseline.copy_(torch.where(mask, after, self.baseline))
        self.known.logical_or_(mask)
        return Closed(mask, torch.where(mask, rpe, 0.0))


class Tally:
    """Sums over reward-prediction errors, as ``learning/rpe_tally.py`` has them.

    Args:
        device: of the tensors.

    Attributes:
        sums: silent errors, sum of the errors, of their sizes, and of their squares, float64 [4].
    """

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(4, dtype=torch.float64, device=device)
        self._largest = torch.zeros((), dtype=torch.float64, device=device)

    def tensors(self) -> dict[str, Tensor]:
        """Return what is remembered, by name."""
        return {'sums': self.sums, 'largest': self._largest}

    def add(self, closed: Closed) -> None:
        """Add the errors of the windows that a step closed."""
        size = closed.rpe.abs()
        self._largest.copy_(torch.maximum(self._largest, size.max()))
        silent = closed.mask & (size <= SILENT_SHARE * self._largest)
        parts = silent.double(), closed.rpe, size, size * size
        self.sums.add_(torch.stack(parts).sum(1))


class Windows:
    """Episodes and credit windows of B instances, as ``environments/episode_tracker.py`` has them.

    Args:
        delivery: when rewards are handed over.
        steps: n of EVERY_N_STEPS.
        instances: B.
        device: of the tensors.

    Attributes:
        over: instances whose episode has ended, bool [B]; their next step begins another one.
        length: steps of the episodes so far, int32 [B].
        episode_return: sum of their rewards so far, float64 [B].
        number: of each episode, int32 [B].
    """

    def __init__(
        self, delivery: Delivery, steps: int, instances: int, device: torch.device
    ) -> None:
        self._delivery, self._steps = delivery, steps
        self.over = torch.zeros(instances, dtype=torch.bool, device=device)
        self.length = torch.zeros(instances, dtype=torch.int32, device=device)
        self.number = torch.zeros_like(self.length)
        self.episode_return = torch.zeros(instances, dtype=torch.float64, device=device)
        self._window_steps = torch.zeros_like(self.length)
        self._window_reward = torch.zeros_like(self.episode_return)

    def tensors(self) -> dict[str, Tensor]:
        """Return what is remembered, by name."""
        return {
            'over': self.over,
            'length': self.length,
            'episode_return': self.episode_return,
            'number': self.number,
            'window_steps': self._window_steps,
            'window_reward': self._window_reward,
        }

    def move(self, reward: Tensor, ended: Tensor) -> tuple[Tensor, Tensor]:
        """Note a step; instances that were over have begun an episode in it.

        Args:
            reward: [B].
            ended: whose episode ended with the step, bool [B].

        Returns:
            Which windows closed, bool [B], and their rewards, float64 [B].
        """
        began, live = self.over, ~self.over
        self.number.add_(began)
        for counted in (self.length, self._window_steps):
            counted.copy_(torch.where(began, 0, counted + 1))
        for summed in (self.episode_return, self._window_reward):
            summed.copy_(torch.where(began, 0.0, summed + reward))
        closed = live & ended
        if self._delivery == Delivery.EVERY_STEP:
            closed = live
        elif self._delivery == Delivery.EVERY_N_STEPS:
            closed = live & (ended | (self._window_steps == self._steps))
        value = self._window_reward.clone()
        self._window_reward.mul_(~closed)
        self._window_steps.mul_(~closed)
        self.over.copy_(ended)
        return closed, value
