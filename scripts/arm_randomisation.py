#!/usr/bin/env python3
"""What domain randomisation buys on an arm that differs from the one that was trained on.

    .venv/bin/python scripts/arm_randomisation.py [--seeds N] [--steps N]

UR5e, reaching points: trained on arms that are as their model, and on arms that differ
(``simulation.randomise``); then measured on arms each of which differs in one definite way, and in
all of them. Writes docs/results/arm_randomisation.json and a section of arm_reaching.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
import numpy as np
from numpy.typing import NDArray

from benchmarks.arm_runs import Training, score, settings_of, write_section
from benchmarks.report import spread
from nrl_ros.robots.arm.variation import RandomiseGroup, VariedPlant
from sim_bridge.arm import ArmBridge

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / 'docs/results'
Array = NDArray[Any]
# A late, weak, slow, stuck and wrongly measured arm, as old or unknown hardware may be.
DIFFERENT: dict[str, float] = {
    'delay_s': 0.04,
    'gain': 0.3,
    'lag_s': 0.05,
    'deadband_rad_s': 0.05,
    'offset_rad': 0.01,
}
TITLES = {
    '': 'as its model',
    'delay_s': 'commands 0.04 s late',
    'gain': 'joints follow 70 % of their commands',
    'lag_s': 'lag of 0.05 s',
    'deadband_rad_s': 'joints stand below 0.05 rad/s',
    'offset_rad': 'joints measured 0.01 rad beside',
    'all': 'all of it',
}
# Without the guard, which is the same for both and takes most of the time.
FAST = 'environment.bridge.options.simulation.guard=false'
TRAINED = {
    'as its model': (FAST,),
    'arms that differ': (
        FAST,
        *(
            f'environment.bridge.options.simulation.randomise.{name}={value}'
            for name, value in DIFFERENT.items()
        ),
    ),
}


class DifferentPlant(VariedPlant):
    """Arms that all differ by as much as the settings say, and in the same direction."""

    def reset(self, position: Array, which: Array) -> None:
        """See VariedPlant."""
        super().reset(position, which)
        state, settings = self.state, self._settings
        state.delay[:] = self._latest
        state.gain[:] = 1.0 - settings.gain
        if settings.lag_s:
            state.share[:] = -np.expm1(-self._period / settings.lag_s)
        state.deadband[:] = settings.deadband_rad_s
        # Neighbours are wrong in opposite directions.
        signs = np.where(np.arange(position.shape[1]) % 2, -1.0, 1.0)
        state.offset[:] = settings.offset_rad * signs
        state.plant.reset(position - state.offset, which)


def differing(most: dict[str, float]) -> Callable[[ArmBridge], None]:
    """Return a change that replaces a bridge's arms by different ones."""

    def change(bridge: ArmBridge) -> None:
        plant = DifferentPlant(bridge.plant, RandomiseGroup(**most), bridge.robot.period_s)
        bridge.plant = bridge.varied = bridge.state.plant = plant

    return change


def measure(seed: int, steps: int) -> list[dict[str, Any]]:
    """Train both ways with one seed, and measure each on every arm."""
    found = []
    for trained, overrides in TRAINED.items():
        training = Training(settings_of(overrides, seed=seed))
        training.run(steps)
        snapshot = training.learner.snapshot()
        for name in TITLES:
            most = DIFFERENT if name == 'all' else {name: DIFFERENT[name]} if name else {}
            change = differing(most) if most else None
            told = score(settings_of((FAST,), seed=seed), snapshot, seed=seed, change=change)
            found.append({'seed': seed, 'trained': trained, 'arm': name, **told})
            print(found[-1], flush=True)
    return found


def table(found: list[dict[str, Any]], seeds: int, steps: int) -> str:
    """The page's section."""
    head = ''.join(f' trained on {trained}: within 2 cm [%] | median [mm] |' for trained in TRAINED)
    lines = [f'| The arm |{head}', f'|{" --- |" * (1 + 2 * len(TRAINED))}']
    for name, title in TITLES.items():
        cells = [title]
        for trained in TRAINED:
            runs = [run for run in found if (run['trained'], run['arm']) == (trained, name)]
            shares = [100.0 * run['success_2cm'] for run in runs]
            cells.append(spread(shares))
            cells.append(f'{np.mean([run["median_mm"] for run in runs]):.1f}')
        lines.append(f'| {" | ".join(cells)} |')
    rows = '\n'.join(lines)
    return (
        f'`python scripts/arm_randomisation.py --seeds {seeds} --steps {steps}`: UR5e, without the '
        'guard, 1,000 greedy episodes each, the worst and the best seed in brackets. Trained on '
        'arms that are as their model, or on arms each of which differs by up to what the last '
        f'row has (`simulation.randomise`), drawn anew at each start.\n\n{rows}'
    )


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seeds', type=int, default=3, help='how many')
    parser.add_argument('--steps', type=int, default=1_500_000, help='of each training')
    options = parser.parse_args()
    found = [run for seed in range(options.seeds) for run in measure(seed, options.steps)]
    (RESULTS / 'arm_randomisation.json').write_text(json.dumps(found, indent=1) + '\n')
    text = table(found, options.seeds, options.steps)
    write_section(RESULTS / 'arm_reaching.md', 'Arms that differ', text)


if __name__ == '__main__':
    main()
