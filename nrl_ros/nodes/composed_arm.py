"""One arm in one process: learner, neuromodulator, safety node and environment.

Start it with ``python -m nrl_ros.nodes.composed_arm --ros-args ...``, and a watchdog beside it
(``nrl_ros.nodes.watchdog``): what hangs or ends this process takes the safety node along. ``nrl arm
--compose`` and ``arm.launch.py compose:=true`` start both.
"""

from __future__ import annotations

from nrl_ros.nodes.process import prepare_process

if __name__ == '__main__':
    prepare_process()

import sys

from nrl_ros.nodes.composed import run_together
from nrl_ros.nodes.cyclic_executor import CyclicExecutor
from nrl_ros.nodes.environment import EnvironmentNode
from nrl_ros.nodes.learner import LearnerNode
from nrl_ros.nodes.neuromodulator import NeuromodulatorNode
from nrl_ros.nodes.safety import SafetyNode

# Longest time for which a second thread keeps the interpreter; Python's own 5 ms are two periods.
_SWITCH_S = 0.0005


def main(argv: list[str] | None = None, kind: type[CyclicExecutor] = CyclicExecutor) -> int:
    """Run the nodes of one arm together.

    They stop in this order: the arm is held, it is braked, what was learned is saved.

    Args:
        argv: arguments; None: those of the process.
        kind: of the executor.

    Returns:
        Exit code: 0, or 1 when a node could not be started or ended with an error.
    """
    # A thread that writes a checkpoint gives the interpreter back soon.
    sys.setswitchinterval(_SWITCH_S)
    return run_together(
        lambda: [
            LearnerNode(saves_beside=True),
            NeuromodulatorNode(),
            SafetyNode(),
            EnvironmentNode(),
        ],
        argv,
        udp_only=True,
        kind=kind,
    )


if __name__ == '__main__':
    raise SystemExit(main())
