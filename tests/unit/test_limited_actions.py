"""Where a limit changes an action: what learning from it means, against the exact gradient."""

from __future__ import annotations

import numpy as np
import pytest

from nrl_ros.base.records import Applied, Delivery
from tests.unit.one_weight import Learned, OneWeight, expected

ARMS, LIMIT = 40_000, 0.2


def executed(action: np.ndarray) -> np.ndarray:
    """What a limit leaves of an action."""
    return np.minimum(np.clip(action, -1.0, 1.0), LIMIT)


def reward(action: np.ndarray) -> np.ndarray:
    """Best at 0.6, which the limit forbids."""
    return -np.square(executed(action) - 0.6)


def learned(rule: str, limited: Applied) -> Learned:
    """What one update amounts to where limited actions are marked like this."""
    arms = OneWeight(rule, ARMS, Delivery.EVERY_STEP)
    asked = arms.asked()
    applied = np.where(executed(asked) == asked, Applied.AS_SENT, limited)
    return arms.learned(reward(asked), expected(reward, arms.mean), applied=applied)


@pytest.mark.parametrize('rule', ['nrl', 'backpropagation'])
def test_credit_for_what_was_asked_is_unbiased(rule: str) -> None:
    """A limit is a part of the environment: log pi of the action drawn, whatever was executed."""
    found = learned(rule, Applied.LIMITED)
    assert 0.3 * ARMS < found.counters['limited_steps'] < 0.7 * ARMS
    assert abs(found.slope - found.exact) < 4.0 * found.error


@pytest.mark.parametrize('rule', ['nrl', 'backpropagation'])
def test_leaving_limited_steps_out_would_be_biased(rule: str) -> None:
    """Which steps are left out would depend on the action drawn: here even the sign is lost."""
    found = learned(rule, Applied.NOT)
    assert found.counters['limited_steps'] == 0
    assert abs(found.slope - found.exact) > 20.0 * found.error
