#!/usr/bin/env python3
"""An arm that reaches by what a small camera sees, in this process, with a convolutional network.

    .venv/bin/python examples/camera.py [--steps N] [--seed S] [--out FOLDER]

An observation is a picture of 16 x 16 pixels, drawn without OpenGL. The settings are those of
config/camera.yaml; docs/torch.md says more.
"""

from in_process import example

if __name__ == '__main__':
    example('camera', __doc__, steps=1_000_000)
