#!/usr/bin/env python3
"""Reaching in one dimension in this process: a reward with every step.

    .venv/bin/python examples/reaching.py [--steps N] [--seed S] [--out FOLDER]

Every credit window is one step: noise, impact, reward-prediction error, weight change. The settings
are those of config/reaching.yaml; change them there, or see compare_rules.py for overrides.
"""

from in_process import example

if __name__ == '__main__':
    example('reaching', __doc__, steps=1_000_000)
