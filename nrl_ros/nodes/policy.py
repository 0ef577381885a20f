"""The policy node: acts on states by an exported policy, in the place of a learner."""

from __future__ import annotations

from nrl_ros.nodes.process import prepare_process

if __name__ == '__main__':
    prepare_process()

from pathlib import Path
from typing import Any

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.identity import draw_identity
from nrl_ros.bundles.onnx_policy import OnnxPolicy
from nrl_ros.bundles.player import Player
from nrl_ros.ros import conversion, names, qos
from nrl_ros.ros.executor import take_waiting
from nrl_ros.ros.interfaces import Action, EnvInfo, EnvState
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.ros.lifecycle import main as run_node
from nrl_ros.settings.policy import PolicyNodeSettings

# Introductions that wait at most.
_INTRODUCTIONS = 64


class PolicyNode(NrlNode[PolicyNodeSettings]):
    """Subscribes to ``env_info`` and ``state``, publishes ``action``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(names.POLICY, PolicyNodeSettings, **options)

    def configure(self) -> None:
        """Load the bundle and make the topics."""
        folder = self.settings.bundle
        if not folder:
            raise ConfigError('bundle: expected the folder that `nrl export RUN` has written')
        policy = OnnxPolicy(Path(folder).expanduser())
        self._player = Player(policy, draw_identity())
        manifest = policy.manifest
        self.get_logger().info(
            f'plays {folder} ({manifest.task or "a task without name"}): '
            f'{manifest.observation.size} observations, {manifest.action.space}'
        )
        self._action = self.publisher(Action, names.ACTION, qos.step())
        self._introductions = self.subscription(
            EnvInfo, names.ENV_INFO, qos.latched(_INTRODUCTIONS), self._on_info, inactive=True
        )
        self.subscription(EnvState, names.STATE, qos.step(), self._on_state, raw=True)

    def deactivate(self) -> None:
        """Say what was done."""
        counted = {name: count for name, count in self._player.counters.items() if count}
        self.get_logger().info(f'{self._player.actions:,} actions; {counted or "all in order"}')

    def _on_info(self, message: EnvInfo) -> None:
        info = conversion.info_from_msg(message)
        if self._player.introduce(info):
            self.get_logger().info(f'agent {info.agent!r} joined: {info.spec.instances} instances')

    def _on_state(self, data: bytes) -> None:
        state = conversion.state_from_wire(data)
        if not self._player.knows(state.agent, state.session):
            # States are handled before the introductions that have come with them.
            take_waiting(self._introductions, _INTRODUCTIONS)
        self._action.publish(conversion.action_to_wire(self._player.answer(state)))


def main() -> int:
    """Run the node."""
    return run_node(PolicyNode)


if __name__ == '__main__':
    raise SystemExit(main())
