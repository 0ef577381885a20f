"""Real-time priority of a process: which processes wait while the processor is busy."""

from __future__ import annotations

import os
from pathlib import Path

_TASKS = Path('/proc/self/task')


def set_realtime_priority(priority: int) -> str:
    """Put all threads of this process, and those that they start later, under ``SCHED_FIFO``.

    ros2_control's controller manager does the same. Linux keeps 5 % of the time for other processes
    (``kernel.sched_rt_runtime_us``), so a loop that does not end cannot block the machine.

    Args:
        priority: 1 to 99, higher ones first; 0: back to the usual ``SCHED_OTHER``.

    Returns:
        '' if that was done, else why not.
    """
    try:
        threads = [int(task.name) for task in _TASKS.iterdir()]
    except OSError:
        threads = [0]
    policy = os.SCHED_FIFO if priority else os.SCHED_OTHER
    for thread in threads:
        try:
            os.sched_setscheduler(thread, policy, os.sched_param(priority))
        except ProcessLookupError:
            # The thread has ended meanwhile.
            continue
        except OSError as error:
            return str(error.strerror)
    return ''
