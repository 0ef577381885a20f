"""Baselines: what rewards are compared with; one baseline in each file."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from nrl_ros.base.registry import Registry
from nrl_ros.learning.baselines.averages import AverageBaseline, NoBaseline
from nrl_ros.learning.baselines.base import Baseline
from nrl_ros.learning.baselines.critic import Critic

# Keys are the names in settings. A new baseline is one more file and one more line here.
BASELINES: Registry[Baseline] = Registry(
    'baseline',
    'nrl_ros.baselines',
    {'running_average': AverageBaseline, 'critic': Critic, 'none': NoBaseline},
    parts=('sees_states', 'observe', 'waits_for', 'matches', 'expect', 'learn'),
)
BaselineName = Annotated[str, AfterValidator(BASELINES.known)]

__all__ = [
    'BASELINES',
    'AverageBaseline',
    'Baseline',
    'BaselineName',
    'Critic',
    'NoBaseline',
]
