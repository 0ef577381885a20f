"""Workflows of CI: pinned, limited, and for every distribution that is said to be supported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / '.github/workflows').glob('*.yml'))


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_a_workflow_is_pinned_and_limited(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow['permissions'] == {'contents': 'read'}
    for job in workflow['jobs'].values():
        assert job['timeout-minutes'] <= 60
        used = [step['uses'] for step in job['steps'] if 'uses' in step]
        assert used
        assert all(re.fullmatch(r'actions/[\w-]+@[0-9a-f]{40}', name) for name in used)


def test_all_supported_distributions_are_built_in_their_containers():
    job = yaml.safe_load((ROOT / '.github/workflows/ros.yml').read_text())['jobs']['test']
    assert job['strategy']['matrix']['ros'] == ['jazzy', 'kilted', 'lyrical']
    assert job['container']['image'] == 'ros:${{ matrix.ros }}-ros-base'


def test_wheels_of_all_distributions_and_the_oldest_and_newest_python_are_tried():
    job = yaml.safe_load((ROOT / '.github/workflows/wheels.yml').read_text())['jobs']['test']
    tried = job['strategy']['matrix']['include']
    lists = {path.stem for path in (ROOT / 'requirements').glob('*.txt')}
    assert {entry['ros'] for entry in tried} == {'jazzy', 'kilted'} <= lists
    assert {'3.10', '3.14'} <= {entry['python'] for entry in tried}
