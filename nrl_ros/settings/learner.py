"""Settings of the learner node: those of the learner, and those that the node adds."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from nrl_ros.base.limits import LearnerLimits
from nrl_ros.base.settings import Settings, at_start, live, realtime
from nrl_ros.learning.settings import CreditSettings, LearnerSettings
from nrl_ros.settings.presets import WithPreset


class CreditGroup(CreditSettings):
    """Settings of the credit windows, and of the wait for their RPEs."""

    rpe_timeout_s: float = Field(
        2.0,
        gt=0,
        description='Lockstep: wait this long for the RPE of a closed window [s]; longer only if '
        'RPEs usually take longer',
    )


class CheckpointGroup(Settings):
    """Checkpoints of the learner."""

    folder: str = at_start('', 'Where checkpoints are written; empty: none')
    anywhere: bool = at_start(
        False,
        'Let the services save_checkpoint and load_checkpoint take paths outside of the folder too',
    )
    period_s: float = live(60.0, 'Time between checkpoints [s]; 0: only on request', ge=0)
    keep: int = Field(
        5, ge=1, description='Newest checkpoints of this run kept [1]; those of other runs stay'
    )
    load: str = at_start(
        '',
        'Checkpoint to start from, or a folder whose newest readable checkpoint is taken, if there '
        'is one; empty: start anew',
    )
    keep_settings: bool = Field(
        False,
        description='With load: take learning rate and noise from the parameters and not from the '
        'checkpoint',
    )


class LearnerNodeSettings(LearnerSettings, WithPreset):
    """Settings of the learner node."""

    node: ClassVar[str] = 'learner'

    autostart: bool = Field(
        True, description='Configure and activate without waiting for a command'
    )
    realtime_priority: int = realtime(0)
    evaluate: bool = live(False, 'Act greedily, without noise and without learning')
    status_period_s: float = Field(0.5, gt=0, description='Time between status messages [s]')
    credit: CreditGroup = CreditGroup()
    limits: LearnerLimits = LearnerLimits()
    checkpoint: CheckpointGroup = CheckpointGroup()
