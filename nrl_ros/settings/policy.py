"""Settings of the policy node, which plays a bundle."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from nrl_ros.base.settings import Settings, at_start, realtime


class PolicyNodeSettings(Settings):
    """Settings of the policy node."""

    node: ClassVar[str] = 'policy'

    autostart: bool = Field(
        True, description='Configure and activate without waiting for a command'
    )
    realtime_priority: int = realtime(0)
    bundle: str = at_start('', 'Folder of the bundle, as `nrl export` writes it')
