"""The watchdog of an arm whose safety node shares a process with learner and environment.

What hangs or ends that process takes the safety node along. This node is a process of its own, so
it notices the silence of the safety node and commands the arm to stand by itself.
"""

from __future__ import annotations

from nrl_ros.nodes.process import prepare_process

if __name__ == '__main__':
    prepare_process()

from typing import Any

from nrl_ros.nodes.standby import Standby
from nrl_ros.robots.arm.description import read_robot
from nrl_ros.robots.safety.standing import PRESS
from nrl_ros.robots.safety.takeover import is_lost
from nrl_ros.ros import names
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.ros.lifecycle import main as run_node
from nrl_ros.settings.safety import WatchdogNodeSettings

# How often the node looks: it adds this to the time until a silence is noticed [s].
_LOOK_S = 0.01
_AGAIN_S = 1.0


class WatchdogNode(NrlNode[WatchdogNodeSettings]):
    """Commands an arm to stand once its safety node is silent, and ends when the arm is at rest.

    A safety node that only hung stops the arm by itself when it goes on, since its periods were
    too far apart. Until then this node has no publisher of commands.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(names.WATCHDOG, WatchdogNodeSettings, **options)
        self._standby: Standby | None = None

    def configure(self) -> None:
        """Subscribe to what the safety node and the joints say."""
        settings = self.settings
        self._most_s = read_robot(settings.robot).watchdog.max_tick_gap_s
        self._standby = Standby(settings.robot, settings.speed_share, self.get_namespace())
        self.periodic(_LOOK_S, self._look)

    def cleanup(self) -> None:
        """Stop listening."""
        if self._standby is not None:
            self._standby.destroy()
            self._standby = None

    def _look(self) -> None:
        standby = self._standby
        assert standby is not None
        if standby.commands:
            standby.look()
            self.say_seldom('moves', f'the arm may move: {PRESS}', every_s=_AGAIN_S, error=True)
            if not standby.commands:
                self._has_ended(standby)
            return
        last, silent_s = standby.listen()
        if not is_lost(last, silent_s, self._most_s):
            return
        why = standby.take_over()
        told = f'nothing is commanded ({why}): {PRESS}' if why else 'the arm is commanded to stand'
        self.say_seldom(
            'lost',
            f'the safety node has been silent for {silent_s:.2f} s, it has died or hangs: {told}',
            every_s=_AGAIN_S,
            error=True,
        )

    def _has_ended(self, standby: Standby) -> None:
        """Go on as before if a safety node commands again, else end: the arm is at rest."""
        if standby.listen()[0] is not None:
            self.get_logger().warning('a safety node commands the arm again')
            return
        self.get_logger().error('the safety node was lost; the arm was brought to rest')
        self.exit_requested = True


def main() -> int:
    """Run the node."""
    return run_node(WatchdogNode, udp_only=True)


if __name__ == '__main__':
    raise SystemExit(main())
