"""Generators of random numbers, one set for each agent."""

from __future__ import annotations

import zlib

import numpy as np


def agent_generators(seed: int, agent: str, count: int) -> list[np.random.Generator]:
    """Return independent generators for one agent, the same whichever other agents exist.

    Args:
        seed: the run's seed.
        agent: name of the agent.
        count: how many generators.
    """
    sequence = np.random.SeedSequence([seed, zlib.crc32(agent.encode())])
    return [np.random.Generator(np.random.SFC64(child)) for child in sequence.spawn(count)]
