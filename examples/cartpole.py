#!/usr/bin/env python3
"""CartPole in this process: one reward, the return, at the end of an episode.

    .venv/bin/python examples/cartpole.py [--steps N] [--seed S] [--out FOLDER]

The eligibility trace sums over the whole episode, and the reward-prediction error of the return
turns it into a weight change. The settings are those of config/cartpole.yaml.
"""

from in_process import example

if __name__ == '__main__':
    example('cartpole', __doc__, steps=2_000_000)
