"""The first steps of a process of nodes, before anything heavy is imported."""

from __future__ import annotations

import os
import signal

from nrl_ros.base.threads import THREAD_VARIABLES


def prepare_process() -> None:
    """Prepare this process to become a node: signals, packages, threads.

    Call it first, before numpy and rclpy are imported, which takes a second. Meanwhile Ctrl+C
    simply ends the process; a node takes over the signal as soon as it can end in order. A package
    that is too old gives one line, where its import would end in a traceback.

    Raises:
        SystemExit: a needed package is missing or unsuitable.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # This is imported only after the signal is handled, since the import takes a tenth of a second.
    from nrl_ros.base.installed import NODES, require

    require(NODES)
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, '1')
