"""Environments that step on a device, in tensors of torch, for the whole loop there.

An environment has a form of its own for it, which computes by the same text as its other form
(docs/device.md). Forms are found by the name of the bridge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import EnvSpec
from nrl_ros.base.registry import Registry

# Keys are the names of bridges in settings.
DEVICE_FORMS: Registry[DeviceEnvironment] = Registry(
    'bridge on a device',
    'nrl_ros.device_bridges',
    {
        'arm': 'sim_bridge.device_arm:make',
        'cartpole': 'sim_bridge.device_cartpole:make',
        'gymnasium': 'sim_bridge.device_cartpole:make_of_gymnasium',
    },
    arguments=2,
    parts=('spec', 'begin', 'draw', 'step', 'snapshot', 'restore'),
)


class DeviceStep(NamedTuple):
    """What a step of B instances gives; tensors.

    Attributes:
        observation: [B, O].
        reward: [B].
        terminated: the task ended, bool [B].
        truncated: the time was up, bool [B].
        figures: of the episodes so far [B, M]; None: there are none.
    """

    observation: Any
    reward: Any
    terminated: Any
    truncated: Any
    figures: Any = None


class DeviceEnvironment(Protocol):
    """B instances of an environment on a device.

    The step after the end of an episode begins another one, as in ``Environment``. Tensors stay the
    same ones: a step writes into them, so that it can be recorded once and repeated.

    Attributes:
        spec: as that of the bridge.
        counts: sums over all steps so far by name, such as motions that a limit changed; int64
            tensors without dimensions, changed in place.
    """

    spec: EnvSpec
    counts: dict[str, Any]

    def begin(self, generator: Any) -> Any:
        """Begin an episode in every instance; return the first observations [B, O]."""
        ...

    def draw(self, generator: Any) -> None:
        """Draw what the next step may need; it is no part of what is compiled."""
        ...

    def step(self, action: Any, over: Any) -> DeviceStep:
        """Apply one action [B, A] for each instance; those whose episode is over begin another.

        Args:
            action: as the policy gives it.
            over: bool [B].
        """
        ...

    def snapshot(self) -> dict[str, Any]:
        """Return all that decides the future, as plain data and arrays of numpy."""
        ...

    def restore(self, saved: dict[str, Any]) -> None:
        """Continue from a snapshot, in place of ``begin``.

        Raises:
            CheckpointError: it does not fit; nothing was changed.
        """
        ...


def make_on_device(
    name: str, instances: int, arrays: Any, options: Mapping[str, Any]
) -> DeviceEnvironment:
    """Make an environment on a device.

    Args:
        name: of the bridge.
        instances: B.
        arrays: a ``TorchArrays`` of the device.
        options: of the bridge.

    Raises:
        ConfigError: this environment has no form for a device, or an option is wrong.
    """
    if name not in DEVICE_FORMS.names():
        raise ConfigError(
            f'bridge.name {name!r} does not run on a device, expected one of '
            f'{", ".join(sorted(DEVICE_FORMS.names()))}; leave --device away'
        )
    return DEVICE_FORMS.make(name, instances, arrays, options=options)
