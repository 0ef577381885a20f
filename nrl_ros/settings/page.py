"""Settings of the page node, which shows runs to a browser."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from nrl_ros.base.settings import Settings, at_start


class PageNodeSettings(Settings):
    """Settings of the page node."""

    node: ClassVar[str] = 'page'

    autostart: bool = Field(
        True, description='Configure and activate without waiting for a command'
    )
    within: str = at_start('', 'Namespace whose runs are shown, with those below it; empty: all')
    listen: str = at_start(
        '127.0.0.1',
        'Address to listen on; another one than the loopback needs the token in NRL_PAGE_TOKEN, '
        'or makes one',
    )
    port: int = at_start(8642, 'First port that is tried, of twenty; 0: any free one')
    hosts: str = at_start(
        '', 'Names by which browsers reach this machine, beside its own, with commas between them'
    )
    steer: bool = at_start(True, 'The page may steer; false: nobody may, with a token or without')
    rate_hz: float = Field(
        10.0, gt=0, le=30, description='Times a second that an open page is told what is new'
    )
    robots: str = at_start(
        '',
        'Paths of descriptions by which arms are drawn, with commas between them, beside those of '
        'config/robots',
    )
