"""The policy that all agents of a learner share: network, head, and the spaces of both."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import CheckpointError, ShapeError
from nrl_ros.base.manifest import first_difference, sides
from nrl_ros.base.records import ActionSpace, AgentInfo, ObservationFormat
from nrl_ros.base.state import restore_snapshot
from nrl_ros.learning.heads import AmendsUpdates, PolicyHead, make_head
from nrl_ros.learning.moments import RunningMoments
from nrl_ros.learning.networks.feed_forward import Network
from nrl_ros.learning.networks.hardware import hardware_of
from nrl_ros.learning.networks.kinds import new_network
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.learning.snapshots import (
    averaged_network,
    network_data,
    network_of,
    space_data,
    space_of,
)

Array = NDArray[Any]


@dataclass(frozen=True)
class Policy:
    """A network, with the head that turns its outputs into actions.

    Attributes:
        network: its arrays stay the same ones.
        head: of the action space.
        space: what an action is.
        manifest: what the numbers of observation and action mean, line by line; empty: not stated.
        moments: of the observations that were learned from; None: they are not normalised.
        candidate: gathers changes until a person approves them; None: weights change at once.
        gathered: moments that go with it; None: as ``candidate``, or not normalised.
    """

    network: Network
    head: PolicyHead
    space: ActionSpace
    manifest: str = ''
    moments: RunningMoments | None = None
    candidate: Network | None = None
    gathered: RunningMoments | None = None

    @property
    def learning(self) -> Network:
        """The network whose weights updates change."""
        return self.network if self.candidate is None else self.candidate

    def see(self, observation: Array) -> None:
        """Take observations [B, O] into the moments, if there are any."""
        moments = self.gathered or self.moments
        if moments is not None:
            moments.add(observation)

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
        different = _difference(self.manifest, spec.manifest)
        if spec.observation_size != inputs or not self.space.equals(spec.action):
            raise ShapeError(
                f'agent {info.agent!r} has {spec.observation_size} observations and '
                f'{spec.action}, the network expects {inputs} and {self.space}'
                f'{f" ({different})" * bool(different)}; '
                'start another learner, in another namespace, for it'
            )
        seen = info.spec.observation_shape, info.spec.observation_format
        learned = self.network.observation_shape, self.network.observation_format
        if seen != learned:
            raise ShapeError(
                f'agent {info.agent!r} sends observations of {_observed(*seen)}, the network was '
                f'made for {_observed(*learned)}; start another learner, in another namespace, '
                'for it'
            )
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
    shape = info.spec.observation_shape
    network = new_network(settings.network, size, head.outputs, settings.seed, shape=shape)
    network.observation_shape = shape
    network.observation_format = info.spec.observation_format
    if isinstance(head, AmendsUpdates):
        head.begin(network.weights[-1])
    network.hardware = hardware_of(settings.network, network.spec.shapes, settings.seed)
    if network.hardware is not None:
        network.hardware.begin(network.weights)
        network.changed()
    if settings.plasticity.averaging:
        network.averaged = averaged_network(network, settings, network.weights)
    policy = Policy(network, head, space, info.spec.manifest, _new_moments(settings))
    return _with_candidate(policy, settings)


def _with_candidate(policy: Policy, settings: LearnerSettings) -> Policy:
    """Return a policy with a candidate that equals it, if changes wait for approval."""
    if not settings.guard.approve:
        return policy
    network = policy.network
    candidate = averaged_network(network, settings, network.weights)
    if network.averaged is not None:
        candidate.averaged = averaged_network(network, settings, network.averaged.weights)
    candidate.hardware = network.hardware
    gathered = _new_moments(settings)
    if gathered is not None and policy.moments is not None:
        gathered.restore(policy.moments.snapshot())
    return replace(policy, candidate=candidate, gathered=gathered)


def _observed(shape: tuple[int, ...], kind: ObservationFormat) -> str:
    return f'{kind.dtype} {shape or "in a row"}'


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
    if policy.network.hardware is not None:
        data |= {'hardware': policy.network.hardware.snapshot()}
    if policy.moments is not None:
        data |= {'moments': policy.moments.snapshot()}
    if policy.candidate is not None:
        data |= {'candidate': network_data(policy.candidate)}
    if policy.gathered is not None:
        data |= {'gathered': policy.gathered.snapshot()}
    return data


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
    network = network_of(data['network'], settings, None if served is None else served.network)
    if network is None or space is None:
        return None
    network.hardware = hardware_of(settings.network, network.spec.shapes, settings.seed)
    if network.hardware is not None:
        restore_snapshot(network.hardware, data['hardware'], 'hardware')
    moments = _new_moments(settings)
    if moments is not None:
        restore_snapshot(moments, data['moments'], 'moments')
        moments.check_size(network.spec.inputs)
    policy = Policy(network, make_head(space, settings.policy), space, manifest, moments)
    policy = _with_candidate(policy, settings)
    if policy.candidate is not None and 'candidate' in data:
        candidate = network_of(data['candidate'], settings, network)
        assert candidate is not None
        candidate.hardware = network.hardware
        policy = replace(policy, candidate=candidate)
        if policy.gathered is not None:
            restore_snapshot(policy.gathered, data['gathered'], 'gathered')
    return policy


def _difference(learned: str, received: str) -> str:
    """Return the first difference of two manifests in words, '' if there is none."""
    lines = first_difference(learned, received)
    if lines is None:
        return ''
    return f'learned with "{lines[0]}", received "{lines[1]}"{sides(learned, received)}'
