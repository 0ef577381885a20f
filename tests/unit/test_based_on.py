"""A description that is based on another one has its entries, where it has none of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.description import keep_robot, read_robot
from nrl_ros.robots.arm.robot import Robot, load_robot
from nrl_ros.robots.arm.robot_checks import refused_because

POST = {'name': 'post', 'shape': 'box', 'size_m': [0.1, 0.1, 0.3], 'position_m': [0.6, 0.3, 0.15]}


def written(folder: Path, name: str, **entries: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'{name}.yaml'
    path.write_text(yaml.safe_dump({'name': name} | entries))
    return path


def test_it_has_all_entries_of_the_other_one_but_its_own(tmp_path: Path) -> None:
    limits = {'velocity_rad_s': [0.5]}
    own = written(tmp_path, 'cell', based_on='ur5e', limits=limits, obstacles=[POST])
    shipped, read = read_robot('ur5e'), read_robot(str(own))
    assert read.limits.velocity_rad_s == (0.5,)
    assert [obstacle.name for obstacle in read.obstacles] == ['post']
    changed = {
        'name': 'cell',
        'based_on': 'ur5e',
        'limits': read.limits,
        'obstacles': read.obstacles,
    }
    assert read == shipped.model_copy(update=changed)
    assert read.limits == shipped.limits.model_copy(update={'velocity_rad_s': (0.5,)})


def test_a_list_and_the_held_joints_replace_those_of_the_other_one(tmp_path: Path) -> None:
    first = {'home_rad': [0.1, 0.2], 'held': {'a.b': 0.3}, 'measured': ['a.b'], 'obstacles': [POST]}
    written(tmp_path, 'first', **first)
    second = written(tmp_path, 'second', based_on='first.yaml', held={'c': 0.1}, measured=[])
    third = written(tmp_path, 'third', based_on='second.yaml', obstacles=[])
    assert read_robot(str(second)).held == {'c': 0.1}
    assert [obstacle.name for obstacle in read_robot(str(second)).obstacles] == ['post']
    read = read_robot(str(third))
    assert (read.home_rad, read.held, read.obstacles) == ((0.1, 0.2), {'c': 0.1}, ())


def test_files_of_the_other_one_are_found_from_its_folder(tmp_path: Path) -> None:
    vendor, cell = tmp_path / 'vendor', tmp_path / 'cell'
    (vendor / 'packages').mkdir(parents=True)
    (vendor / 'arm.urdf').write_text('<robot name="arm"/>')
    (vendor / 'arm.srdf').write_text('<robot name="arm"/>')
    written(
        vendor,
        'arm',
        model='arm.urdf',
        package_paths=['packages'],
        clearance={'srdf': 'arm.srdf', 'exclude': [['a', 'b']]},
    )
    path = written(cell, 'cell', based_on='../vendor/arm.yaml', clearance={'exclude': []})
    read = read_robot(str(path))
    assert read.model == str(vendor / 'arm.urdf')
    assert read.package_paths == (str(vendor / 'packages'),)
    assert (read.clearance.srdf, read.clearance.exclude) == (str(vendor / 'arm.srdf'), ())


def test_a_copy_beside_a_model_of_a_topic_needs_no_other_file(tmp_path: Path) -> None:
    path = written(tmp_path, 'cell', based_on='planar', model='robot_description', obstacles=[POST])
    copy = keep_robot(str(path), '<robot name="arm"/>', tmp_path / 'kept')
    path.unlink()
    kept = read_robot(str(copy))
    assert (kept.based_on, kept.model) == ('', str(tmp_path / 'kept/robot_description.xml'))
    assert kept.home_rad == read_robot('planar').home_rad
    assert [obstacle.name for obstacle in kept.obstacles] == ['post']


@pytest.mark.parametrize(
    ('base', 'said'),
    [
        ('ur5', "unknown robot 'ur5', did you mean 'ur5e'"),
        ('missing.yaml', 'cannot read .*missing.yaml: No such file'),
        ('cell.yaml', 'cell.yaml is based on itself'),
        ('wheel.yaml', 'wheel.yaml: based_on: .*cell.yaml is based on itself'),
        ('wrong.yaml', "wrong.yaml: unknown parameter 'nam', did you mean 'name'"),
        ('arm.urdf', 'arm.urdf is a model by its name'),
        ([1], 'string'),
    ],
)
def test_what_it_cannot_be_based_on_is_told_in_one_line(
    tmp_path: Path, base: Any, said: str
) -> None:
    written(tmp_path, 'wheel', based_on='cell.yaml')
    written(tmp_path, 'wrong', nam='x')
    path = written(tmp_path, 'cell', based_on=base)
    with pytest.raises(ConfigError, match=f'cell.yaml: based_on: .*{said}') as error:
        read_robot(str(path))
    assert '\n' not in str(error.value)


def test_the_shipped_cell_is_a_ur5e_that_is_kept_from_its_partition() -> None:
    bare, cell = load_robot('ur5e'), load_robot('ur5e_cell')
    # Policies of one fit the other.
    assert cell.manifest() == bare.manifest().replace('robot: ur5e', 'robot: ur5e_cell')
    random = np.random.default_rng(0)
    low, high = bare.limits.position_low, bare.limits.position_high
    poses = random.uniform(low, high, (400, len(bare.joints)))
    allowed = [pose for pose in poses if not why_refused(bare, pose)]
    reasons = [why for pose in allowed if (why := why_refused(cell, pose))]
    assert 0 < len(reasons) < len(allowed)
    assert all('partition' in why for why in reasons)


def why_refused(robot: Robot, pose: Float64) -> str:
    return refused_because(robot.description, robot.guard(), pose, robot.obstacles)
