"""The neuromodulator node: turns rewards into reward-prediction errors and broadcasts them."""

from __future__ import annotations

from nrl_ros.nodes.process import prepare_process

if __name__ == '__main__':
    prepare_process()

import math
from pathlib import Path
from typing import Any

import numpy as np

from nrl_ros.base.errors import CheckpointError, NrlError
from nrl_ros.base.identity import draw_identity
from nrl_ros.base.records import RpeBatch
from nrl_ros.learning.baselines.critic import Critic
from nrl_ros.learning.baselines.running_average import LARGEST_REWARD, rewards_fit
from nrl_ros.learning.neuromodulator import Neuromodulator
from nrl_ros.learning.snapshots import saved_baselines
from nrl_ros.nodes.saving import hold, not_saved
from nrl_ros.ros import conversion, names, qos
from nrl_ros.ros.interfaces import EnvState, Neuromodulation, NeuromodulatorStatus, Reward
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.ros.lifecycle import main as run_node
from nrl_ros.settings.neuromodulator import NeuromodulatorNodeSettings
from nrl_ros.storage.checkpoint import (
    CRITIC_FILE,
    find_checkpoint,
    make_folder,
    read_checkpoint,
    write_checkpoint,
)
from nrl_ros.storage.lock import FolderLock

_SAVE_PERIOD_S = 60.0
_CRITIC = 'critic'


class NeuromodulatorNode(NrlNode[NeuromodulatorNodeSettings]):
    """Subscribes to ``reward``, publishes ``neuromodulation`` and ``neuromodulator_status``."""

    def __init__(self, **options: Any) -> None:
        self._core: Neuromodulator | None = None
        super().__init__(names.NEUROMODULATOR, NeuromodulatorNodeSettings, **options)
        self._rpes: list[np.ndarray[Any, Any]] = []

    def configure(self) -> None:
        """Build the core and the topics."""
        self._core = Neuromodulator(
            self.settings.rpe, self.settings.limits, critic=self.settings.critic
        )
        self._core.identity = draw_identity()
        if self.settings.load:
            self._load(Path(self.settings.load))
        self._rpe = self.publisher(Neuromodulation, names.NEUROMODULATION, qos.event())
        self._status = self.publisher(
            NeuromodulatorStatus, names.NEUROMODULATOR_STATUS, qos.latched()
        )
        if self._core.baseline.sees_states:
            self.subscription(EnvState, names.STATE, qos.step(), self._on_state, raw=True)
        # An environment begins when it knows of this subscription, and knows of earlier ones then.
        self.subscription(Reward, names.REWARD, qos.event(), self._on_reward, raw=True)
        if self._core.critic is not None:
            folder = self.settings.critic.folder
            if folder:
                make_folder(Path(folder))
                hold(self, FolderLock(Path(folder), _CRITIC))
            self._load_critic(self._core.critic)
            self.periodic(_SAVE_PERIOD_S, self._save_critic)
        self.periodic(self.settings.status_period_s, self._publish_status)

    def _load(self, path: Path) -> None:
        """Take the baselines that a run's newest checkpoint carries, if there is one yet."""
        assert self._core is not None
        file = find_checkpoint(path, 'learner')
        self.get_logger().info(f'baselines from {file or "nowhere, there are none yet"}')
        if file is None:
            return
        try:
            self._core.resume(saved_baselines(read_checkpoint(file, 'learner')))
        except CheckpointError as error:
            raise CheckpointError(f'{file}: {error}') from error

    def settings_changed(self, settings: NeuromodulatorNodeSettings) -> None:
        """Apply a changed rate."""
        if self._core is not None:
            self._core.settings = settings.rpe

    def _load_critic(self, critic: Critic) -> None:
        """Load the critic that was saved beside the learner, if there is one."""
        if not self.settings.load:
            return
        saved = Path(self.settings.load)
        path = (saved if saved.is_dir() else saved.parent) / CRITIC_FILE
        if path.exists():
            critic.restore(read_checkpoint(path, 'critic'))
        self.get_logger().info(f'critic from {path if path.exists() else "nowhere: starts anew"}')

    def _save_critic(self, *, last: bool = False) -> None:
        """Save the critic; everything else that the node knows is in the learner's checkpoints."""
        assert self._core is not None
        folder = self.settings.critic.folder
        if self._core.critic is None or not folder or not self._core.counters['rewards']:
            # It is as it was loaded.
            return
        data = self._core.critic.snapshot()
        try:
            write_checkpoint(Path(folder) / CRITIC_FILE, _CRITIC, data)
        except NrlError as error:
            if last:
                not_saved(self, _CRITIC, _CRITIC, data, error)
            else:
                self.get_logger().error(f'critic not written: {error}')

    def _on_state(self, data: bytes) -> None:
        assert self._core is not None
        rpe = self._core.observe(conversion.state_from_wire(data))
        if rpe is not None:
            self._broadcast(rpe)

    def _broadcast(self, rpe: RpeBatch) -> None:
        self._rpe.publish(conversion.rpe_to_wire(rpe))
        self._rpes.append(rpe.rpe)

    def _on_reward(self, data: bytes) -> None:
        assert self._core is not None
        reward = conversion.reward_from_wire(data)
        refused = self._core.counters['invalid_rewards']
        rpe = self._core.evaluate(reward)
        if rpe is not None:
            self._broadcast(rpe)
        if self._core.counters['invalid_rewards'] != refused:
            self.say_seldom(
                'invalid reward',
                f'reward of {reward.agent!r} at state {reward.sequence}: '
                f'{np.count_nonzero(~rewards_fit(reward.value))} of {len(reward.value)} values are '
                f'nan or larger than {LARGEST_REWARD:g}; those windows do not train',
                error=True,
            )

    def _publish_status(self) -> None:
        assert self._core is not None
        rpes = np.concatenate(self._rpes) if self._rpes else np.full(1, math.nan)
        self._rpes.clear()
        counters = self._core.counters + self.counters
        message = NeuromodulatorStatus(
            rewards=self._core.counters['rewards'],
            mean_baseline=self._core.mean_baseline,
            mean_rpe=float(rpes.mean()),
            mean_absolute_rpe=float(np.abs(rpes).mean()),
            counter_name=list(counters),
            counter_value=list(counters.values()),
        )
        conversion.set_stamp(message.header.stamp, self.now_ns())
        self._status.publish(message)

    def deactivate(self) -> None:
        """Save the critic, and publish the last figures."""
        self._save_critic(last=True)
        self._publish_status()

    def cleanup(self) -> None:
        """Forget the baselines."""
        self._core = None
        self._rpes.clear()


def main() -> int:
    """Run the node."""
    return run_node(NeuromodulatorNode)


if __name__ == '__main__':
    raise SystemExit(main())
