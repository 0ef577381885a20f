#!/usr/bin/env python3
"""Acrobot in this process: a reward so sparse that nothing is learned for a while.

    .venv/bin/python examples/acrobot.py [--steps N] [--seed S] [--out FOLDER]

As long as every episode of an instance fails alike, its reward-prediction error is 0. The settings
are those of config/acrobot.yaml; the environment is Gymnasium's, stepped as one array.
"""

from in_process import example

if __name__ == '__main__':
    example('acrobot', __doc__, steps=1_500_000)
