"""What had been written in several places stands in one, where all others take it from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ('nrl_ros', 'sim_bridge', 'launch', 'scripts', 'benchmarks', 'examples')


@pytest.mark.parametrize(
    ('pattern', 'places'),
    [
        ('get_close_matches|SequenceMatcher', {'nrl_ros/base/errors.py'}),
        (r'entry_points\(group', {'nrl_ros/base/registry.py'}),
        (r'\b1_?000_?000_?000\b|\b1e9\b', {'nrl_ros/ros/wire.py'}),
        (r'DiagnosticArray\(', {'nrl_ros/ros/diagnostics.py'}),
        # Beside nrl doctor, which must run where nothing else does.
        (r'platform\.python_version\(', {'nrl_ros/base/installed.py', 'nrl_ros/base/doctor.py'}),
        # Durations as 1:05:00.
        (r':02d\}', {'nrl_ros/base/durations.py'}),
        # Text of a file of ROS parameters.
        (r"f'/\*\*/\{", {'nrl_ros/cli/config.py'}),
        # Processes that make runs.
        (r'\bPool\(|ProcessPool|get_context', {'nrl_ros/experiments/engine.py'}),
        # Settings of a run become a neuromodulator: in one process, and in its node.
        (
            r'Neuromodulator\(\s*\S*\.rpe',
            {'nrl_ros/experiments/in_process.py', 'nrl_ros/nodes/neuromodulator.py'},
        ),
        # Weights of a layer without its column of biases.
        (r'weight\[:, -1\]', {'nrl_ros/learning/networks/feed_forward.py'}),
        # Scaling of observations in an exported policy; NIR has it within its first weights.
        (
            r'moments\.deviation',
            {'nrl_ros/bundles/scaling.py', 'nrl_ros/bundles/nir_graph.py', 'nrl_ros/cli/export.py'},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_it_stands_in_one_place(pattern: str, places: set[str]) -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob('*.py')
        if not {'msg', 'srv', 'action'} & set(path.parts) and re.search(pattern, path.read_text())
    }
    assert found == places
