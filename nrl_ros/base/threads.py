"""One thread for each process: what numpy's libraries read about it when they are loaded."""

from __future__ import annotations

# Several processes share the cores and the matrices are small, so that threads cost more than they
# give; results stay the same bits.
THREAD_VARIABLES = ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS')
