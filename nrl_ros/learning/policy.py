"""The policy that all agents of a learner share: network, head, and the spaces of both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nrl_ros.base.errors import CheckpointError, ShapeError
from nrl_ros.base.manifest import first_difference, sides
from nrl_ros.base.records import ActionSpace, AgentInfo
from nrl_ros.base.state import restore_snapshot
from nrl_ros.learning.heads import AmendsUpdates, PolicyHead, make_head
from nrl_ros.learning.moments import RunningMoments
from nrl_ros.learning.networks.feed_forward import Network
from nrl_ros.learning.networks.kinds import new_network
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.learning.snapshots import (
    averaged_network,
    network_data,
    network_of,
    space_data,
    space_of,
)


@dataclass(frozen=True)
class Policy:
    """A network, with the head that turns its outputs into actions.

    Attributes:
        network: its arrays stay the same ones.
        head: of the action space.
        space: what an action is.
        manifest: what the numbers of observation and action mean, line by line; empty: not stated.
        moments: of the observations that were learned from; None: they are not normalised.
    """

    network: Network
    head: PolicyHead
    space: ActionSpace
    manifest: str = ''
    moments: RunningMoments | None = None

    @property
    def weight_norm(self) -> float:
        """Frobenius norm over all layers [1]."""
        weights = self.network.weights
        return math.sqrt(sum(float(np.square(w, dtype=np.float64).sum()) for w in weights))

    def check(self, info: AgentInfo) -> None:
        """Refuse an agent whose spaces do not fit.

        Raises:
            ShapeError: naming both.
        """
        inputs, spec = self.network.spec.inputs, info.spec
        if spec.observation_size != inputs or not self.space.equals(spec.action):
            raise ShapeError(
                f'agent {info.agent!r} has {spec.observation_size} observations and '
                f'{spec.action}, the network expects {inputs} and {self.space}; '
                'start another learner, in another namespace, for it'
            )
        different = _difference(self.manifest, info.spec.manifest)
        if different:
            raise ShapeError(
                f'agent {info.agent!r} means other things by the same numbers than what was '
                f'learned from: {different}; start another learner, in another namespace, for it'
            )


def new_policy(settings: LearnerSettings, info: AgentInfo) -> Policy:
    """Make a policy with fresh weights for the spaces of an agent."""
    space = info.spec.action
    head = make_head(space, settings.policy)
    size = info.spec.observation_size
    network = new_network(settings.network, size, head.outputs, settings.seed)
    if isinstance(head, AmendsUpdates):
        head.begin(network.weights[-1])
    if settings.plasticity.averaging:
        network.averaged = averaged_network(network, settings, network.weights)
    return Policy(network, head, space, info.spec.manifest, _new_moments(settings))


def _new_moments(settings: LearnerSettings) -> RunningMoments | None:
    return RunningMoments() if settings.network.normalise_observations else None


def policy_data(policy: Policy | None) -> dict[str, Any]:
    """Return space, sizes and weights of a policy as plain data (copies)."""
    if policy is None:
        return {'space': None, 'network': None, 'manifest': ''}
    data = {
        'space': space_data(policy.space),
        'network': network_data(policy.network),
        'manifest': policy.manifest,
    }
    return data if policy.moments is None else data | {'moments': policy.moments.snapshot()}


def policy_of(
    data: dict[str, Any], settings: LearnerSettings, served: Policy | None
) -> Policy | None:
    """Make the policy of ``policy_data``; return None if there was none.

    Args:
        data: as saved.
        settings: of the learner that takes it.
        served: what its agents need, None when there are none.

    Raises:
        CheckpointError: spaces, sizes, number format or values do not fit.
    """
    space = space_of(data['space'])
    if served is not None and space is not None and served.space != space:
        raise CheckpointError(f'the checkpoint is for {space}, the environment has {served.space}')
    manifest = str(data.get('manifest', ''))
    different = _difference(manifest, '' if served is None else served.manifest)
    if different:
        raise CheckpointError(
            f'the checkpoint means other things by the same numbers than the environment: '
            f'{different}; load one that was learned with this robot and task'
        )
    expected = None if served is None else served.network.spec
    network = network_of(data['network'], settings, expected)
    if network is None or space is None:
        return None
    moments = _new_moments(settings)
    if moments is not None:
        restore_snapshot(moments, data['moments'], 'moments')
        moments.check_size(network.spec.inputs)
    return Policy(network, make_head(space, settings.policy), space, manifest, moments)


def _difference(learned: str, received: str) -> str:
    """Return the first difference of two manifests in words, '' if there is none."""
    lines = first_difference(learned, received)
    if lines is None:
        return ''
    return f'learned with "{lines[0]}", received "{lines[1]}"{sides(learned, received)}'
