"""Real-time scheduling of a process: who waits for whom when the processor is busy."""

from __future__ import annotations

import os
from pathlib import Path

_TASKS = Path('/proc/self/task')


def set_realtime_priority(priority: int) -> str:
    """Put all threads of this process, and those that they start, under ``SCHED_FIFO``.

    As ros2_control's controller manager does. Linux keeps 5 % of the time for everybody else
    (``kernel.sched_rt_runtime_us``), so that a loop that does not end cannot take the machine.

    Args:
        priority: 1 to 99, higher ones first; 0: back to what is usual, ``SCHED_OTHER``.

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
            # It has ended meanwhile.
            continue
        except OSError as error:
            return str(error.strerror)
    return ''
