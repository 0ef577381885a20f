"""A command that looks for the only one of something says what to do if it is not the only one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nrl_ros.base.errors import NrlError
from nrl_ros.cli.waiting import OnlyOne, Waiting

WORDS = OnlyOne('arms serve goals', '--namespace', 'no arm serves goals', 'start one')


class Looks(Waiting):
    """Waits for nothing."""

    def __init__(self) -> None:
        pass

    def until(self, holds: Callable[[], Any], limit_s: float, *, moving: bool = False) -> bool:
        return bool(holds())


def test_the_only_one_is_taken() -> None:
    assert Looks().only(lambda: ['/a/reach'], 1.0, WORDS) == '/a/reach'


@pytest.mark.parametrize(
    ('found', 'said'),
    [
        (['/b', '/a'], r'^2 arms serve goals \(/a, /b\): name one of them by --namespace$'),
        ([], '^no arm serves goals in ROS domain 7: start one$'),
    ],
)
def test_another_number_of_them_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, found: list[str], said: str
) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', '7')
    with pytest.raises(NrlError, match=said):
        Looks().only(lambda: found, 1.0, WORDS)
