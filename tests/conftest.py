"""Settings that must be in force before numpy is imported."""

import os

# The matrices here are small: threads cost more than they give, and two cores are shared.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

try:
    from hypothesis import HealthCheck, settings
except ImportError:
    pass
else:
    # How long an example takes, and to draw some, depends on what else the machine does.
    slow = [HealthCheck.too_slow]
    settings.register_profile('any_machine', deadline=None, suppress_health_check=slow)
    settings.load_profile('any_machine')
