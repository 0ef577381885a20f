"""How long something may last."""

from __future__ import annotations

from nrl_ros.base.patience import Patience


def test_patience_ends_once_something_has_lasted() -> None:
    patience = Patience(8.0)
    found = [patience.over(float(now), waits=now not in (5, 6)) for now in range(20)]
    assert found.index(True) == 16 and not any(found[:16])
