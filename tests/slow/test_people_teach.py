"""A person alone teaches a task: no other reward reaches the learner (docs/people.md)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('gymnasium')

pytestmark = pytest.mark.slow


def example() -> Any:
    path = Path(__file__).parents[2] / 'examples/human_teacher.py'
    spec = importlib.util.spec_from_file_location('human_teacher', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_car_reaches_its_flag_by_the_presses_of_a_person() -> None:
    """Late and seldom ones: about one in 20 steps, 4 to 8 steps after what they are for."""
    made = example()
    alone = made.train(0, None)
    assert not alone[:, 1].any()
    person = made.Teacher(0)
    taught = made.train(0, person)
    assert person.presses < 0.06 * taught[:, 0].sum()
    assert taught[-20:, 1].mean() > 0.9
