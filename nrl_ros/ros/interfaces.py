"""The only import of the generated messages; if it fails, the error says how to build them."""

from __future__ import annotations

from nrl_ros.base.errors import NrlError

try:
    from nrl_ros.action import Reach
    from nrl_ros.msg import (
        Action,
        ArmCommand,
        EnvInfo,
        EnvState,
        EnvStatus,
        EpisodeReport,
        HumanReward,
        LearnerOrder,
        LearnerStart,
        LearnerStatus,
        Neuromodulation,
        NeuromodulatorStatus,
        RecorderStatus,
        Reward,
        SafetyState,
        SafetyStatus,
    )
    from nrl_ros.srv import EndEpisode, GetLearnerState, LoadCheckpoint, SaveCheckpoint
except ImportError as error:
    raise NrlError(
        f'the messages of nrl_ros cannot be imported ({error}); build them with `make setup` in a '
        'checkout, `pip install .` of it in a virtual environment, or `colcon build` in a '
        'workspace, then source its install/setup.bash; `nrl doctor` says what is missing'
    ) from error

__all__ = [
    'Action',
    'ArmCommand',
    'EndEpisode',
    'EnvInfo',
    'EnvState',
    'EnvStatus',
    'EpisodeReport',
    'GetLearnerState',
    'HumanReward',
    'LearnerOrder',
    'LearnerStart',
    'LearnerStatus',
    'LoadCheckpoint',
    'Neuromodulation',
    'NeuromodulatorStatus',
    'Reach',
    'RecorderStatus',
    'Reward',
    'SafetyState',
    'SafetyStatus',
    'SaveCheckpoint',
]
