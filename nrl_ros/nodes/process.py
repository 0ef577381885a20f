"""What a process of nodes begins with, before anything heavy is imported."""

from __future__ import annotations

import os
import signal

from nrl_ros.base.threads import THREAD_VARIABLES


def prepare_process() -> None:
    """Prepare this process to become a node: signals, packages, threads.

    To be called first, before numpy and rclpy are imported, which takes a second. Ctrl+C meanwhile
    just ends the process; a node takes the signal over as soon as it can leave in order. A package
    that is too old is told in one line, where its import would end in a traceback.

    Raises:
        SystemExit: a needed package is missing or unsuitable.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Not before the signal is taken care of: this import takes a tenth of that second.
    from nrl_ros.base.installed import NODES, require

    require(NODES)
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, '1')
