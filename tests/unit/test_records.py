"""Records are what their declarations say: frozen, or of fields that the type checker guards."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import numpy as np
import pytest

from nrl_ros.base import records
from nrl_ros.environments import episodes, listening

# A state is what changes; all else is a record.
RECORDS = [
    kind
    for module in (records, episodes, listening)
    for kind in vars(module).values()
    if is_dataclass(kind)
    and kind.__module__ == module.__name__  # type: ignore[union-attr]
    and not kind.__name__.endswith('State')
]


@pytest.mark.parametrize('kind', RECORDS)
def test_no_record_may_be_changed(kind: Any) -> None:
    first, *_ = fields(kind)
    if '@dataclass(frozen=True)' in inspect.getsource(kind):
        with pytest.raises(FrozenInstanceError):
            setattr(object.__new__(kind), first.name, None)
    else:
        assert all(str(one.type).startswith('Final[') for one in fields(kind))


def test_bounds_of_actions_are_compared_as_messages_carry_them() -> None:
    """0.4 is none of float32: what came by a message is 0.4000000059604645."""
    own = records.ActionSpace.continuous((-0.4,), (0.4,))
    travelled = records.ActionSpace.continuous(
        (-float(np.float32(0.4)),), (float(np.float32(0.4)),)
    )
    assert own != travelled
    assert own.equals(travelled)
    assert not own.equals(records.ActionSpace.continuous((-0.4,), (0.400001,)))
    assert not own.equals(records.ActionSpace.continuous((-0.4, -0.4), (0.4, 0.4)))
    assert not own.equals(records.ActionSpace.discrete(1))
