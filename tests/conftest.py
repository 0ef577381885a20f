"""Settings that must be in force before numpy is imported."""

import os

# The matrices here are small: threads cost more than they give, and two cores are shared.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
