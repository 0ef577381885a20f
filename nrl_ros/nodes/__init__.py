"""The nodes: thin shells around objects that know nothing of ROS."""

import os
import signal
import sys

# `python -m nrl_ros.nodes.learner` takes a second to import everything; Ctrl+C meanwhile just ends
# it. The nodes take the signal over as soon as they can leave in order.
if sys.argv[:1] == ['-m']:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from nrl_ros.base.installed import NODES, require  # noqa: E402 - takes a tenth of that second

# Before any of them is imported: too old ones end in tracebacks that say nothing of the cause.
require(NODES)

# Three processes share the cores; results stay the same bits. Has an effect only before numpy is
# imported, and this package is what every way to start a node imports first.
THREAD_VARIABLES = ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS')
for _name in THREAD_VARIABLES:
    os.environ.setdefault(_name, '1')
