"""How fast a model's joints may change their speed, and joints that slide: limits of URDF 1.2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nrl_ros.robots.arm.model import ArmModel
from tests.unit.safety_bench import limits_of
from tests.unit.test_arm_couplings import joint, urdf
from tests.unit.test_arm_descriptions import LIMIT, URDF, YAML, load, refused, told
from tests.unit.test_safety_state_monitor import WAITS, Rig, waits

UNSET = YAML.replace(', acceleration_rad_s2: [2.0]', '')


def rated(**rates: float) -> str:
    """The stub whose first joint has these limits too."""
    more = ' '.join(f'{name}="{value}"' for name, value in rates.items())
    return URDF.replace(LIMIT, LIMIT.replace('/>', f' {more}/>'), 1)


@pytest.mark.parametrize(
    ('rates', 'expected'),
    [
        ({}, (1.4, 2.8)),
        # A default is lowered; what brakes is what speeds up, unless the model says otherwise.
        ({'acceleration': 1.0}, (1.0, 1.0)),
        ({'acceleration': 1.0, 'deceleration': 1.6}, (1.0, 1.0)),
        ({'acceleration': 1.0, 'deceleration': 0.8}, (0.8, 0.8)),
        ({'acceleration': 2.0}, (1.4, 2.0)),
        ({'deceleration': 2.0}, (1.4, 2.0)),
        # As many exporters write it: there is no limit.
        ({'acceleration': 0.0, 'deceleration': 0.0}, (1.4, 2.8)),
    ],
)
def test_a_default_never_exceeds_the_models_acceleration(
    tmp_path: Path, rates: dict[str, float], expected: tuple[float, float]
) -> None:
    limits = load(tmp_path, rated(**rates), UNSET).limits
    assert (limits.acceleration[0], limits.stop_acceleration[0]) == pytest.approx(expected)
    # The other joints have no such limits.
    assert (limits.acceleration[1], limits.stop_acceleration[1]) == (1.4, 2.8)


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        ('acceleration_rad_s2: [2.0]', 'acceleration_rad_s2 of j1 is wider .* 2 .* 1 rad/s^2'),
        (
            'acceleration_rad_s2: [0.5], stop_acceleration_rad_s2: [3.0]',
            'stop_acceleration_rad_s2 of j1 is wider .* 3 .* 1 rad/s^2',
        ),
        ('acceleration_rad_s2: [0.5, null, 1]', 'joint j2 has no acceleration limit in its model'),
    ],
)
def test_what_is_wider_than_the_models_acceleration_is_refused(
    tmp_path: Path, given: str, said: str
) -> None:
    text = YAML.replace('acceleration_rad_s2: [2.0]', given)
    parts = refused(tmp_path, rated(acceleration=1.0), text)
    for part in said.split(' .* '):
        assert part in parts


def test_null_takes_the_models_acceleration(tmp_path: Path) -> None:
    text = YAML.replace('[2.0]}', '[null, 2.0, 2.0]}')
    limits = load(tmp_path, rated(acceleration=0.75), text).limits
    assert limits.acceleration == (0.75, 2.0, 2.0)
    assert limits.stop_acceleration == (0.75, 4.0, 4.0)


def test_faults_of_the_new_limits_are_told_by_joint(tmp_path: Path) -> None:
    said = refused(tmp_path, rated(acceleration=-1.0, jerk=float('nan')))
    assert "joint 'j1': acceleration limit -1 is below 0, jerk limit 'nan' is not a number" in said


def test_a_jerk_that_commands_may_exceed_is_told_with_what_keeps_it(tmp_path: Path) -> None:
    """From 2 rad/s^2 to a stop with -4 within a period of 8 ms are 750 rad/s^3."""
    said = told(load(tmp_path, rated(jerk=400.0)))
    assert 'jerk is not limited here' in said
    assert 'j1 by up to 750 rad/s^3 where its model allows 400' in said
    assert 'limits.acceleration_rad_s2 1.066 and limits.stop_acceleration_rad_s2 2.133' in said
    assert 'rad/s^3' not in told(load(tmp_path, rated(jerk=750.0)))
    kept = 'acceleration_rad_s2: [1.066], stop_acceleration_rad_s2: [2.133]'
    text = YAML.replace('acceleration_rad_s2: [2.0]', kept)
    assert 'rad/s^3' not in told(load(tmp_path, rated(jerk=400.0), text))


def test_a_joint_that_follows_limits_what_leads_it() -> None:
    """The rod turns half as fast as j2, so that j2 may change its speed twice as much."""
    rod = joint('rod', 'l2', 'tool', '<mimic joint="j2" multiplier="-0.5"/>')
    rod = rod.replace('effort="60"', 'effort="60" acceleration="1.5" jerk="20"')
    model = ArmModel.from_text(urdf(joint('j2', 'base', 'l2'), rod), tool='tool')
    assert model.joints == ('j2',)
    assert (model.acceleration[0], model.deceleration[0], model.jerk[0]) == (3.0, 3.0, 40.0)


# ------------------------------------------------------------------ sliding

RAIL = URDF.replace('"revolute"', '"prismatic"', 1)


def test_what_counts_in_metres_is_told_for_a_joint_that_slides(tmp_path: Path) -> None:
    said = told(load(tmp_path, RAIL))
    assert (
        'j1: linear, so that what is named rad counts in m there: margin_rad 0.05 m, '
        'tracking_error_rad 0.1 m, position_tolerance_rad 0.02 m, still_rad_s 0.05 m/s'
    ) in said
    text = YAML.replace('joints: [j1, j2, j3]', 'joints: [j2, j3]\nheld: {j1: 0.25}')
    said = told(load(tmp_path, RAIL, text.replace('[0.0, 0.6, 0.3]', '[0.6, 0.3]')))
    assert 'j1 at 0.25 m' in said


def test_millimetres_are_asked_for() -> None:
    limits = limits_of(units=('m', 'rad'))
    said = waits(Rig(WAITS, limits=limits), 0.5, 100.0, position=[700.0, 0.0])[-1]
    assert 'joint_0 is 698.0000 m beyond its limits: are these millimetres?' in said
    # Angles in degrees are asked for beside a joint that slides and is right.
    said = waits(Rig(WAITS, limits=limits), 0.5, 100.0, position=[0.5, 60.0])[-1]
    assert 'are these degrees?' in said


def test_a_model_without_them_has_no_such_limits() -> None:
    model = ArmModel.from_text(URDF, tool='tool0')
    for rates in (model.acceleration, model.deceleration, model.jerk):
        assert np.isinf(rates).all()
