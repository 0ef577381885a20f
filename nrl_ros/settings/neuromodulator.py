"""Settings of the neuromodulator node: those of the neuromodulator, and further ones."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from nrl_ros.base.limits import Limits
from nrl_ros.base.settings import at_start, realtime
from nrl_ros.learning.baselines.critic import CriticSettings
from nrl_ros.learning.neuromodulator import RpeSettings
from nrl_ros.settings.presets import WithPreset


class CriticGroup(CriticSettings):
    """Settings of the critic, and of the file where it is saved."""

    folder: str = at_start(
        '',
        'Folder where the critic is saved as critic.nrl, every minute and at the end; empty: it '
        'is not saved',
    )


class NeuromodulatorNodeSettings(WithPreset):
    """Settings of the neuromodulator node."""

    node: ClassVar[str] = 'neuromodulator'

    autostart: bool = Field(
        True, description='Configure and activate without waiting for a command'
    )
    realtime_priority: int = realtime(0)
    status_period_s: float = Field(0.5, gt=0, description='Time between status messages [s]')
    load: str = at_start(
        '',
        "Learner's checkpoint, or folder of checkpoints, with the averages to start from; a "
        'critic that lies beside it is loaded too',
    )
    rpe: RpeSettings = RpeSettings()
    critic: CriticGroup = CriticGroup()
    limits: Limits = Limits()
