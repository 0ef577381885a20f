"""The compiled books say what those in numpy say, over many episodes with faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nrl_ros.base.records import Delivery
from nrl_ros.environments.books import Books
from nrl_ros.learning.kernels import library as kernels
from tests.unit.fakes import same

pytestmark = pytest.mark.skipif(not kernels.available(), reason='the kernel is not built')


@pytest.mark.parametrize('delivery', list(Delivery))
@pytest.mark.parametrize(('instances', 'often'), [(1, 1.0), (7, 1.0), (100, 0.05)])
def test_compiled_and_numpy(
    delivery: Delivery, instances: int, often: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 3 if delivery == Delivery.EVERY_N_STEPS else 0
    one = Books(instances, delivery, steps)
    with monkeypatch.context() as patch:
        patch.setattr(kernels, '_LIBRARY', None)
        two = Books(instances, delivery, steps)
    random = np.random.default_rng(0)
    seen = np.zeros(3, int)
    for _ in range(400):
        flags = [random.random(instances) < often * chance for chance in (0.15, 0.1, 0.05)]
        blind = random.random(instances) < 0.1 if random.random() < 0.2 else None
        if blind is not None:
            flags[2] = flags[2] | blind
        step: Any = (random.standard_normal(instances), *flags, blind)
        ours, theirs = one.move(*step), two.move(*step)
        assert same(list(ours.paid or ()), list(theirs.paid or ()))
        assert same(list(ours.ended or ()), list(theirs.ended or ()))
        assert same(ours.ending, theirs.ending) and ours.live == theirs.live
        assert same(one.snapshot(), two.snapshot())
        seen += (ours.paid is not None, ours.ended is not None, blind is not None)
    assert (seen > 20).all()
    one.restore(Books(instances, delivery, steps).snapshot())
    assert not one.window.any() and not one.phase.any()


@pytest.mark.parametrize('compiled', [True, False])
def test_what_fits_and_what_is_finite(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        if not compiled:
            patch.setattr(kernels, '_LIBRARY', None)
        books = Books(40, Delivery.EPISODE, 0, 3)
    action = np.full((40, 1), 2, np.int32)
    assert books.fits(action, 3) and not books.fits(action, 2)
    action[17] = -1
    assert not books.fits(action, 3)
    observation, reward = np.full((40, 3), 3e38, np.float32), np.full(40, -1e308)
    observation[5], reward[5] = -0.0, 5e-324
    assert books.finite(observation, reward)
    for bad in (np.nan, -np.nan, np.inf, -np.inf):
        for array in (observation, reward):
            array.flat[39], kept = bad, array.flat[39]
            assert not books.finite(observation, reward)
            array.flat[39] = kept
    assert books.finite(observation, reward)
