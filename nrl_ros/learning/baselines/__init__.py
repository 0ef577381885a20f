"""What a reward is compared with, beside the running average of the neuromodulator itself."""
