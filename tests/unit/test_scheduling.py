"""Real-time priority: of all threads, of later ones too, or none and a reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_ASK = """
import os, threading
from nrl_ros.ros.scheduling import set_realtime_priority

def policies():
    found = set()
    for thread in map(int, os.listdir('/proc/self/task')):
        found.add((os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority))
    return found

def waiting():
    threading.Thread(target=end.wait, daemon=True).start()

end = threading.Event()
waiting()
refused = set_realtime_priority(7)
waiting()
raised = policies()
back = set_realtime_priority(0)
print(repr((refused, raised, back, policies())))
end.set()
"""


def test_all_threads_have_it_or_none_and_the_reason_is_said() -> None:
    done = subprocess.run(
        [sys.executable, '-c', _ASK], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    refused, raised, back, after = eval(done.stdout)  # noqa: S307 - what was printed above
    usual = {(0, 0)}
    if refused:
        assert refused == 'Operation not permitted'
        assert raised == usual
    else:
        assert raised == {(1, 7)}
    assert back == ''
    assert after == usual
