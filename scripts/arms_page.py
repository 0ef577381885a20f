#!/usr/bin/env python3
"""Try vendors' descriptions with no edit, and write docs/arms.md.

Put URDFs (and the packages with their meshes, AMENT_PREFIX_PATH names where) into a folder beside
the project, then:

.venv/bin/python scripts/arms_page.py FOLDER --work WORK --steps 500000

What is there already in WORK is not done again, so that it may be stopped and gone on with. Figures
of an earlier training stay in the table as long as `nrl robot new` still writes what was trained
then: with --steps all others are trained, without it none.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nrl_ros
from nrl_ros.base.errors import ConfigError
from nrl_ros.cli import config
from nrl_ros.cli.new_robot import NewRobot, write_robot
from nrl_ros.robots.arm.clearance import without_shape
from nrl_ros.robots.arm.reach import reached_targets
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.settings import ReachSettings

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / 'docs/results/arms.json'
PAGE = ROOT / 'docs/arms.md'
# Greedy episodes of an evaluation; figures of an episode that the table shows.
_EPISODES = 256
_FIGURES = ('is_within_5_cm', 'is_within_2_cm', 'is_within_1_cm')
_HEAD = """# Arms, as their vendors describe them

Made by `scripts/arms_page.py` from a folder of URDFs that lies beside the project (none is part of
it); do not edit. Each row is what `nrl robot new ARM.urdf` wrote, with no edit
([real_arm.md](real_arm.md#the-description-of-your-robot)): tool, home, limits, workspace, pairs of
links, and a box of targets. *Pairs* are those of shapes whose clearance is kept, in training as on
hardware; *unwatched* are links without any shape. *Reached* is the share of the target box at which
the arm can put its tool. The last columns are shares of {episodes} greedy episodes that end that
near to their target, after so many steps of training with the settings of `config/generic.yaml`
(a quarter of a minute of one core). One seed: look at the kind of number, not at its last digit.

All rows are of one state of the code. The links of gen3_2f85 that are unwatched are its gripper's,
whose meshes belong to a package that was not there.

What home is worth: ur10e was trained once more from a home from which 67 % of its targets had a
straight way; 73 % of episodes ended within 2 cm. From the home of the table nearly all have one.
`nrl doctor` says which share has a straight way where it is below 80 %.

| Arm | Joints | Tool | Pairs | Unwatched | Target box [m] | Reached | Steps | 5 cm | 2 cm | 1 cm |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def look_at(model: Path, work: Path) -> dict[str, Any]:
    """Draft the description of a model, unless it is there, and return what it says.

    Args:
        model: URDF.
        work: folder of drafts and runs.

    Raises:
        ConfigError: it cannot be described.
    """
    name = model.stem
    task = work / f'{name}.yaml'
    if not task.exists():
        write_robot(NewRobot(model, name, out=work), print)
    settings = config.resolve(task).environment.bridge
    options = ReachSettings.model_validate(settings.options)
    robot = load_robot(options.robot)
    kept = robot.description.workspace.clearance_m > 0.0
    return {
        'joints': len(robot.joints),
        'tool': robot.model.tool,
        'home_rad': list(robot.description.home_rad),
        'pairs': len(robot.clearance.pairs) if kept else 0,
        'unwatched': len(without_shape(robot.model)),
        'low_m': list(options.target.low_m),
        'high_m': list(options.target.high_m),
        'reached': round(reached_targets(robot, options.target).share, 4),
    }


def train(name: str, work: Path, steps: int) -> None:
    """Train a drafted task in this process, unless it was trained, and score what was learned."""
    scored = work / f'{name}.json'
    if scored.exists():
        return
    # A training that was stopped begins anew.
    shutil.rmtree(work / f'run_{name}', ignore_errors=True)
    run = nrl_ros.train(work / f'{name}.yaml', steps=steps, out=work / f'run_{name}', say=None)
    figures = run.evaluate(_EPISODES).figures
    found = {'steps': run.summary['steps'], **{name: figures[name] for name in _FIGURES}}
    scored.write_text(f'{json.dumps(found)}\n', 'utf-8')


def known(before: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of an earlier training; none if another description was trained then.

    Args:
        before: what the table has of an arm.
        row: what is drafted of it now.
    """
    same = all(before.get(key) == value for key, value in row.items())
    return {key: before[key] for key in ('steps', *_FIGURES) if same and key in before}


def learned(name: str, work: Path) -> dict[str, Any]:
    """Return the figures of a training; none where there was none."""
    scored = work / f'{name}.json'
    return dict(json.loads(scored.read_text('utf-8'))) if scored.exists() else {}


def page(arms: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page for the results of all arms, by name."""
    rows = [_row(name, arms[name]) for name in sorted(arms)]
    lines = _HEAD.format(episodes=_EPISODES) + '\n'.join(rows)
    return f'{lines}\n'


def _row(name: str, arm: Mapping[str, Any]) -> str:
    if 'fault' in arm:
        return f'| {name} | {arm["fault"]} | | | | | | | | | |'
    box = ', '.join(
        f'{axis} {low:g} to {high:g}'
        for axis, low, high in zip('xyz', arm['low_m'], arm['high_m'], strict=True)
    )
    shares = [f'{100.0 * arm[one]:.0f} %' if one in arm else '–' for one in _FIGURES]
    steps = f'{arm["steps"]:,}' if 'steps' in arm else '–'
    cells = (
        name, arm['joints'], f'`{arm["tool"]}`', arm['pairs'], arm['unwatched'], box,
        f'{100.0 * arm["reached"]:.0f} %', steps, *shares,
    )  # fmt: skip
    return f'| {" | ".join(map(str, cells))} |'


def main() -> None:
    """Try each description of a folder, and write figures and page."""
    parser = argparse.ArgumentParser(description="Try vendors' descriptions with no edit.")
    parser.add_argument('folder', type=Path)
    parser.add_argument('--work', type=Path, required=True, help='folder of drafts and runs')
    parser.add_argument('--steps', type=int, default=0, help='of training; 0: none')
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    before = json.loads(RESULTS.read_text('utf-8')) if RESULTS.exists() else {}
    arms: dict[str, Any] = dict(before)
    for model in sorted(given.folder.glob('*.urdf')):
        try:
            arms[model.stem] = look_at(model.absolute(), given.work)
        except ConfigError as error:
            arms[model.stem] = {'fault': str(error)}
            continue
        figures = known(before.get(model.stem, {}), arms[model.stem])
        if given.steps and not figures:
            train(model.stem, given.work, given.steps)
        arms[model.stem] |= figures | learned(model.stem, given.work)
        RESULTS.write_text(f'{json.dumps(arms, indent=1)}\n', 'utf-8')
        PAGE.write_text(page(arms), 'utf-8')
        print(_row(model.stem, arms[model.stem]), flush=True)


if __name__ == '__main__':
    main()
