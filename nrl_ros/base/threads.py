"""One thread for each process: variables that numpy's libraries read when they are loaded."""

from __future__ import annotations

# Several processes share the cores and the matrices are small, so threads cost more than they gain.
# The results are the same bits.
THREAD_VARIABLES = ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS')
