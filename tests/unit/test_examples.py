"""The examples run as their first lines say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('matplotlib')

ROOT = Path(__file__).resolve().parents[2]
# These need no training of their own, or an arm that runs.
OTHERS = ('human_teacher', 'in_process', 'three_poses')
EXAMPLES = sorted(p for p in (ROOT / 'examples').glob('*.py') if p.stem not in OTHERS)


def test_there_is_one_for_every_task() -> None:
    arms = {path.stem for path in (ROOT / 'config/robots').glob('*.yaml')}
    tasks = {path.stem for path in (ROOT / 'config').glob('*.yaml')}
    tasks = {name for name in tasks if re.sub('_(pose|obstacles|cell)$', '', name) not in arms}
    assert tasks | {'compare_rules'} == {path.stem for path in EXAMPLES}


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.stem)
def test_an_example_reports_and_draws(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(path), '--steps', '25000', '--out', str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env=os.environ | {'PYTHONPATH': str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 'greedy policy: ' in done.stdout
    assert 'last 100 episodes' in done.stdout
    assert (tmp_path / f'{path.stem}.png').stat().st_size > 5_000


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short(path: Path) -> None:
    assert len(path.read_text(encoding='utf-8').splitlines()) < 80
